"""Kills a server at a chosen write: where, how, and what of a walk over all writes is done."""

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

from tests.server import Server

#: Every point, instead of some that a seed chooses.
ALL = os.environ.get("FEDBELL_FAULTS") == "all"

_INJECTED = Path(__file__).with_name("injected")

_Answer = TypeVar("_Answer")


@dataclass
class Point:
    """One write at which a server is killed.

    Attributes:
        number: the first write of the step is 1; 0 kills nothing.
        how: "before" or "after" the write.
        writes: what the step had written by then, a line each.
    """

    number: int
    how: str
    writes: tuple[str, ...] = ()

    @property
    def reached(self) -> bool:
        """Whether the step came as far as this write."""
        return 0 < self.number <= len(self.writes)

    def story(self) -> str:
        """Where this was, for the report of a failure."""
        return "\n".join([f"killed {self.how} write {self.number} of:", *self.writes])


class Trap:
    """Waits in a server for one of its writes. Set before the server starts."""

    def __init__(self, server: Server, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._server = server
        self._plan, self._log = directory / "plan.json", directory / "writes.log"
        server.environment |= {"FEDBELL_TRAP": str(directory), "PYTHONPATH": str(_INJECTED)}

    def arm(self, number: int, how: str, ignored: tuple[str, ...] = ()) -> None:
        """Wait for that write from now on; see injected/sitecustomize.py."""
        self._log.unlink(missing_ok=True)
        plan = {"point": number, "how": how, "group": self._server.pid, "ignored": ignored}
        waiting = self._plan.with_suffix(".new")
        waiting.write_text(json.dumps(plan))
        waiting.replace(self._plan)

    def disarm(self) -> None:
        """Let the server be; what is held goes on."""
        self._plan.unlink(missing_ok=True)

    @property
    def writes(self) -> tuple[str, ...]:
        """What was written since the trap was armed."""
        return tuple(self._log.read_text().splitlines()) if self._log.exists() else ()

    def spring(
        self, point: Point, call: Callable[[], _Answer], ignored: tuple[str, ...]
    ) -> _Answer | None:
        """Make ``call`` while the trap waits for ``point``; the server has ended if reached.

        Returns:
            The call's answer; None when it went to the server that was killed.
        """
        family = self._server.family()
        self.arm(point.number, point.how, ignored)
        try:
            return call()
        except httpx.TransportError:
            assert 0 < point.number <= len(self.writes), self._server.tail()
            return None
        finally:
            point.writes = self.writes
            if point.reached:
                self._server.wait_for_the_end(family)
            self.disarm()


def walk(name: str, chosen: int) -> Iterator[Point]:
    """The points of a step, each for one run of it.

    All of them, until the step ends without reaching one; or, after a run that is not
    disturbed and tells how many there are, ``chosen`` that the seed ``name`` picks.
    """
    if not ALL:
        undisturbed = Point(0, "before")
        yield undisturbed
        number = len(undisturbed.writes)
        every = [(each, how) for each in range(1, number + 1) for how in ("before", "after")]
        for picked in sorted(random.Random(name).sample(every, min(chosen, len(every)))):
            yield Point(*picked)
        return
    number, reached = 0, True
    while reached:
        number += 1
        for how in ("before", "after"):
            point = Point(number, how)
            yield point
            reached = point.reached
            if not reached:
                break
