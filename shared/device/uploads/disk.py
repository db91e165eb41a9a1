"""A full disk, told in a sentence, on which pictures can be deleted nevertheless."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.web.problems import DiskFull, is_disk_full

__all__ = ["DiskFull", "Reserve", "check_room", "full_disk_told"]

_WAY_OUT = (
    "What was kept before is still there. Delete pictures on this device's page, or make room on "
    "the disk."
)
#: To note that a picture is gone takes a few pages of the database.
_RESERVE_BYTES = 1024 * 1024


class Reserve:
    """A file that is there to be removed: deleting needs room, too.

    Args:
        directory: on the disk in question.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "reserve"
        self.keep()

    def keep(self) -> None:
        """Have the file, if there is room for it."""
        with suppress(OSError):
            if self._file.exists() and self._file.stat().st_size == _RESERVE_BYTES:
                return
            try:
                self._file.write_bytes(os.urandom(_RESERVE_BYTES))  # no file system packs it
            except OSError:
                self._file.unlink()
                raise

    def spend_on(self, change: Callable[[], None]) -> None:
        """Do what may need a little room; on a full disk once more, without the file.

        Raises:
            DiskFull: not even then is there room; nothing has changed.
        """
        try:
            with full_disk_told(self._file.parent):
                change()
        except DiskFull:
            self._file.unlink(missing_ok=True)
            with full_disk_told(self._file.parent):
                change()


@contextmanager
def full_disk_told(directory: Path) -> Iterator[None]:
    """Raise DiskFull where the system says that the disk of ``directory`` is full."""
    try:
        yield
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise DiskFull(f"The disk of {directory} is full. {_WAY_OUT}") from error


def check_room(directory: Path, needed: int, least_free: int) -> None:
    """Raise DiskFull if ``needed`` bytes more would leave less than ``least_free`` on the disk."""
    free = shutil.disk_usage(directory).free
    if free - needed < least_free:
        raise DiskFull(
            f"The disk of {directory} has {free / 2**20:,.0f} MiB left, and "
            f"{least_free / 2**20:,.0f} MiB stay free (least_free_bytes). {_WAY_OUT}"
        )
