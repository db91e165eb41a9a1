"""Kills a server at a chosen write: where, how, and what of a walk over all writes is done."""

import fcntl
import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import httpx

from tests.server import Server, wait_until

#: Every point, instead of some that a seed chooses.
ALL = os.environ.get("FEDBELL_FAULTS") == "all"

#: Where a process was killed in this test, in words that are equal for equal points.
killed_at: list[str] = []

#: How long a start and what it is waited for may take, with a pause for others in between.
_START_SECONDS = 180

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


class Trapped(Protocol):
    """What a trap waits in: a server, or another program with settings in its environment."""

    environment: dict[str, str]


class Trap:
    """Waits in a server for one of its writes. Set before the server starts.

    Args:
        trapped: the server; or several, whose writes are counted together: whichever comes to
            the chosen one is killed, and the others live.
        directory: for the trap's own files.
    """

    def __init__(self, trapped: Trapped | Sequence[Trapped], directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        several = list(trapped) if isinstance(trapped, Sequence) else [trapped]
        self._servers = [each for each in several if isinstance(each, Server)]
        self._plan, self._log = directory / "plan.json", directory / "writes.log"
        for each in several:
            each.environment |= {"FEDBELL_TRAP": str(directory), "PYTHONPATH": str(_INJECTED)}

    def arm(self, number: int, how: str, ignored: tuple[str, ...] = ()) -> None:
        """Wait for that write from now on; see injected/sitecustomize.py."""
        self._log.write_text("")
        groups = [server.pid for server in self._servers]
        plan = {"point": number, "how": how, "groups": groups, "ignored": ignored}
        waiting = self._plan.with_suffix(".new")
        waiting.write_text(json.dumps(plan))
        waiting.replace(self._plan)

    def disarm(self) -> None:
        """Let the server be; what is held goes on. No write is counted any more."""
        with self._log.open("a") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            self._plan.unlink(missing_ok=True)

    @property
    def writes(self) -> tuple[str, ...]:
        """What was written since the trap was armed."""
        return tuple(self._log.read_text().splitlines()) if self._log.exists() else ()

    def spring(
        self, point: Point, call: Callable[[], _Answer], ignored: tuple[str, ...]
    ) -> _Answer | None:
        """Make ``call`` while the trap waits for ``point``; its server has ended if reached.

        Returns:
            The call's answer; None when it went to the server that was killed.
        """
        families = [(server, [server.pid, *server.family()]) for server in self._servers]
        self.arm(point.number, point.how, ignored)
        try:
            return call()
        except httpx.TransportError:
            assert 0 < point.number <= len(self.writes), self._servers[0].tail()
            return None
        finally:
            self.disarm()
            point.writes = self.writes
            if point.reached:
                writer = int(point.writes[point.number - 1].rpartition(" ")[2])
                of_it = [pair for pair in families if writer in pair[1]]
                dead, family = (of_it or families)[0]
                dead.wait_for_the_end(family)

    def spring_at_start(
        self, point: Point, done: Callable[[], object], ignored: tuple[str, ...]
    ) -> None:
        """Start the server into the trap; it runs until it is done, or has ended if reached."""
        (server,) = self._servers
        seen: set[int] = set()
        server.start(wait=False)
        self.arm(point.number, point.how, ignored)

        def over() -> bool:
            point.writes = self.writes
            if point.reached:
                return True
            seen.update(server.family())
            return bool(done())

        wait_until(over, _START_SECONDS)
        self.disarm()
        point.writes = self.writes
        if point.reached:
            server.wait_for_the_end(seen)


def walk(name: str, chosen: int, of: int | None = None) -> Iterator[Point]:
    """The points of a step, each for one run of it.

    All of them, until the step ends without reaching one; or ``chosen`` that the seed ``name``
    picks: of the first ``of`` writes, or after a run that is not disturbed and tells how many there
    are.
    """
    for point in _all() if ALL else _some(name, chosen, of):
        yield point
        if point.reached:
            killed_at.append(f"{name}: {point.how} write {point.number}")


def _some(name: str, chosen: int, number: int | None) -> Iterator[Point]:
    if number is None:
        undisturbed = Point(0, "before")
        yield undisturbed
        number = len(undisturbed.writes)
    every = [(each, how) for each in range(1, number + 1) for how in ("before", "after")]
    for picked in sorted(random.Random(name).sample(every, min(chosen, len(every)))):
        yield Point(*picked)


def _all() -> Iterator[Point]:
    number, reached = 0, True
    while reached:
        number += 1
        for how in ("before", "after"):
            point = Point(number, how)
            yield point
            reached = point.reached
            if not reached:
                break
