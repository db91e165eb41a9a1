"""Whose turn it is to make a version of a task, over all processes; each waits only so long."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from shared.errors import FedbellError

#: Much longer than the versions before it take to be made; shorter than clients wait for an answer.
_WAIT_SECONDS = 45.0
#: How soon a process that waits sees that another one's turn is over.
_LOOK_SECONDS = 0.002


class TaskBusy(FedbellError):
    """Others made versions of the task for so long that this call was given up."""

    status = 503
    title = "Too many updates at once"
    retry_after = 2


class Turns:
    """One turn at a time for each task.

    The locks are files that the operating system frees when their process ends, however it ends.

    Args:
        directory: where they lie.
        wait_seconds: how long one waits for a turn.
    """

    def __init__(self, directory: Path, wait_seconds: float = _WAIT_SECONDS) -> None:
        self._directory = directory
        self._wait_seconds = wait_seconds
        self._of_tasks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    @contextmanager
    def take(self, task: str) -> Iterator[None]:
        """Wait for the turn to make a version of ``task``, and have it meanwhile.

        Raises:
            TaskBusy: it did not come in time; nothing has changed.
        """
        deadline = time.monotonic() + self._wait_seconds
        busy = TaskBusy(
            f"Others have sent updates of {task} for {self._wait_seconds:g} s on end. Nothing has "
            "changed: send it again in a moment."
        )
        with self._guard:
            ours = self._of_tasks.setdefault(task, threading.Lock())
            self._directory.mkdir(parents=True, exist_ok=True)
        # Threads of one process first agree among themselves: one of them waits for a file.
        if not ours.acquire(timeout=self._wait_seconds):
            raise busy
        try:
            turn = self._taken(task, deadline, busy)
            try:
                yield
            finally:
                turn.release()
        finally:
            ours.release()

    def _taken(self, task: str, deadline: float, busy: TaskBusy) -> FileLock:
        """The lock of the turn. Who is the next one is decided by a lock too.

        So a process that has just had its turn does not have the next one before another that
        waits, although that one looks only now and then.
        """
        following = self._lock(task, "next", deadline, busy)
        try:
            return self._lock(task, "turn", deadline, busy)
        finally:
            following.release()

    def _lock(self, task: str, what: str, deadline: float, busy: TaskBusy) -> FileLock:
        lock = FileLock(self._directory / f"{task}.{what}", thread_local=False)
        try:
            lock.acquire(timeout=max(0.0, deadline - time.monotonic()), poll_interval=_LOOK_SECONDS)
        except Timeout:
            raise busy from None
        return lock
