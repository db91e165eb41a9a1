"""The log's line about pictures that came: one for many, however many calls brought them."""

import threading
from collections import Counter
from collections.abc import Callable

from shared.federated.task import Task
from shared.web.access.who import Caller, acting, current

#: A page sends each picture by a call of its own; what comes within this is one line.
_QUIET_SECONDS = 1.0

#: How many pictures of each class; None: without a class.
Labels = Counter[str | None]


class UploadsTold:
    """Counts pictures that one caller brings close after one another, and tells of them together.

    Args:
        tell: writes a line about the task of that name.
    """

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, Caller], tuple[Labels, threading.Timer]] = {}

    def add(self, task: Task, labels: Labels) -> None:
        """Pictures came; the line follows when no more come."""
        key = task.name, current()
        timer = threading.Timer(_QUIET_SECONDS, self._write, key)
        timer.daemon = True
        with self._lock:
            if waiting := self._waiting.get(key):
                waiting[1].cancel()
                labels = labels + waiting[0]
            self._waiting[key] = labels, timer
        timer.start()

    def _write(self, name: str, caller: Caller) -> None:
        with self._lock:
            waiting = self._waiting.get((name, caller))
            if waiting is None or waiting[1] is not threading.current_thread():
                return  # more came just now
            del self._waiting[name, caller]
        with acting(caller):
            self._tell(name, _summary(waiting[0]))


def _summary(labels: Labels) -> str:
    number = labels.total()
    what = ", ".join(
        f"{count} {label}" if label else f"{count} without a class"
        for label, count in labels.most_common(10)
    )
    return f"{number:,} picture{'s' if number > 1 else ''} uploaded: {what}"
