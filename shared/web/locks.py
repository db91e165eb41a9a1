"""Locks that the operating system frees when their process ends, however it ends.

So nothing stays marked as busy after an error or a kill.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def try_lock(path: Path) -> FileLock | None:
    """Take the lock file ``path`` without waiting; None when another holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


@contextmanager
def exclusive(path: Path, busy: Exception) -> Iterator[None]:
    """Hold the lock file ``path``, or raise ``busy`` at once when another does."""
    lock = try_lock(path)
    if lock is None:
        raise busy
    try:
        yield
    finally:
        lock.release()
