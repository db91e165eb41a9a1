"""Whose turn it is: of one task, one step runs at a time, and few calls wait for it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from shared.errors import FedbellError
from shared.web.jobs import JobControl

Step = Literal["modeltrain", "sendmodel", "aggmodel"]

#: The step that may take hours: nobody waits for it.
_LONG: Step = "modeltrain"


class StepRunning(FedbellError):
    """Another step of the task runs, which this call does not wait for."""

    status = 409
    title = "Another step is running"


@dataclass
class Running:
    """A step whose turn it is; ``control`` is its job's, once it has one."""

    step: Step
    control: JobControl | None
    since: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """For how long it has been its turn."""
        return time.monotonic() - self.since


class Turns:
    """Gives each step of a task its turn.

    A call that waits holds one of the server's few threads. So none waits for a training,
    and one alone for a short step: the main server's, say, while the device catches up.

    Args:
        device: its name, for people.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._changed = threading.Condition()
        self._running: dict[str, Running] = {}
        self._waiting: set[str] = set()
        #: Called whenever a step begins; it must be quick.
        self.when_taken: Callable[[], None] = lambda: None

    def running(self, task: str) -> Running | None:
        """The step of a task whose turn it is now."""
        with self._changed:
            return self._running.get(task)

    def longest(self) -> float | None:
        """For how many seconds the step that began first has run; None when none does."""
        with self._changed:
            return max((each.seconds for each in self._running.values()), default=None)

    def check(self, task: str) -> None:
        """Raise StepRunning if a step that asked for its turn now would be refused."""
        with self._changed:
            running = self._running.get(task)
            if running and (running.step == _LONG or task in self._waiting):
                raise self._refusal(task, running)

    def check_free(self, task: str) -> None:
        """Raise StepRunning if any step of the task runs."""
        if running := self.running(task):
            raise self._refusal(task, running)

    @contextmanager
    def take(self, task: str, step: Step, control: JobControl | None = None) -> Iterator[Running]:
        """Run ``step`` of ``task``, after a short one that runs.

        Args:
            control: its job, which may be cancelled while it waits; without one it never waits.

        Raises:
            StepRunning: it is not its turn.
            JobCancelled
        """
        with self._changed:
            if task in self._running:
                self._wait(task, control)
            self._running[task] = Running(step, control)
        self.when_taken()
        try:
            yield self._running[task]
        finally:
            with self._changed:
                del self._running[task]
                self._changed.notify_all()

    def _wait(self, task: str, control: JobControl | None) -> None:
        if control is None or task in self._waiting:
            raise self._refusal(task, self._running[task])
        self._waiting.add(task)
        try:
            with control.when_cancelled(self._wake):
                while running := self._running.get(task):
                    if running.step == _LONG:
                        raise self._refusal(task, running)
                    control.check()
                    self._changed.wait()
        finally:
            self._waiting.discard(task)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _refusal(self, task: str, running: Running) -> StepRunning:
        return StepRunning(
            f"{self._device} is at {running.step} of task {task}. Wait for it, or stop it: "
            "GET /jobs names the job, POST /jobs/<id>/cancel stops it."
        )
