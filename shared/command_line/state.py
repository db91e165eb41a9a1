"""The state of the servers that run here, and how it is forgotten."""

import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from shared.errors import FedbellError


class StateInUse(FedbellError):
    """Servers that run here use the state."""

    status = 409
    title = "The servers run"


def lock_state(root: Path) -> FileLock:
    """Say that servers of ``root`` run, until this is released or the process ends.

    Several launchers may run side by side, each with servers of its own.

    Raises:
        StateInUse: there are too many of them.
    """
    (root / "state").mkdir(exist_ok=True)
    for number in range(1, 100):
        lock = FileLock(root / "state" / f"launcher{number}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            continue
        return lock
    raise StateInUse(f"Too many launchers run in {root}. Stop one.")


def forget_state(root: Path) -> bool:
    """Delete the state of all servers: rounds, models, devices. Whether there was any.

    Raises:
        StateInUse: servers run; nothing was deleted.
    """
    state = root / "state"
    if not state.exists():
        return False
    for path in state.glob("launcher*.lock"):
        lock = FileLock(path)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise StateInUse(
                "The servers run; their state was not touched. Stop them first, with Ctrl-C."
            ) from error
        lock.release()
    shutil.rmtree(state)
    return True
