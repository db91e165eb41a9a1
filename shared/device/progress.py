"""How far a running step is, when it may be done, and how the main server is told."""

import math
import time
from typing import Any

from shared.device.turns import Running
from shared.federated.activity import Activity

#: What is over sooner is not told: its result says all.
SHORT_SECONDS = 0.5

_METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")


class Pace:
    """Tells from the progress of one call, told again and again, when its phase may end."""

    def __init__(self) -> None:
        self._phase: object = None
        self._last = self._began = time.monotonic()
        self._first: tuple[int, float] | None = None

    def timed(self, progress: dict[str, Any]) -> dict[str, Any]:
        """``progress`` with ``due``, when its phase ends at its pace so far, as ``time.time()``."""
        now = time.monotonic()
        phase = progress.get("phase"), progress.get("split")
        if phase != self._phase:
            self._phase, self._began, self._first = phase, self._last, None
        self._last = now
        done, total = _counted(progress)
        if self._first is None and done:
            self._first = done, now
        return progress | {"due": self._due(done, total, now)}

    def _due(self, done: int, total: int, now: float) -> float | None:
        if self._first is None:
            return None
        counted, since = self._first
        # What comes first takes longer, compiling say: it counts only while it is all there is.
        each = (now - since) / (done - counted) if done > counted else (now - self._began) / done
        return round(time.time() + each * max(0, total - done), 3)


def with_times(progress: dict[str, Any], started: float) -> dict[str, Any]:
    """A job's progress with ``elapsed_seconds`` and ``eta_seconds`` (None: not known) of now.

    Args:
        started: when the job was, as ``time.time()``.
    """
    return progress | {
        "elapsed_seconds": round(max(0.0, time.time() - started), 1),
        "eta_seconds": _remaining(progress),
    }


def activity(running: Running | None) -> Activity | None:
    """What the main server is told of a step; None where it may be over in a moment."""
    if running is None or running.seconds < SHORT_SECONDS:
        return None
    progress = (running.control.last_progress if running.control else None) or {}
    done, total = _counted(progress)
    history = progress.get("history", {})
    newest = {name: _finite(history[name][-1]) for name in _METRICS if history.get(name)}
    return Activity(
        step=running.step,
        phase=progress.get("phase"),
        done=done,
        total=total,
        elapsed_seconds=round(running.seconds, 1),
        eta_seconds=_remaining(progress),
        **newest,
    )


def _counted(progress: dict[str, Any]) -> tuple[int, int]:
    names = ("epoch", "epochs") if progress.get("phase") == "training" else ("done", "total")
    return progress.get(names[0], 0), progress.get(names[1], 0)


def _remaining(progress: dict[str, Any]) -> float | None:
    due = progress.get("due")
    return None if due is None else round(max(0.0, due - time.time()), 1)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
