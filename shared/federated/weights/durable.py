"""Files that are there whole or not at all, also after a power cut."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

_STORED_AT_ONCE_BYTES = 8 * 1024 * 1024


class EarlyStoring:
    """Lets the disk take a large file while it is written, so that fsync finds little to do.

    What Linux does when it is told that nobody needs some pages: it begins to write them. Those
    that are stored already leave its cache; who reads them next reads the disk.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begin = file.tell()

    def go_on(self) -> None:
        """To be called after each write; the file is written from front to back."""
        end = self._file.tell()
        if end - self._begin >= _STORED_AT_ONCE_BYTES and hasattr(os, "posix_fadvise"):
            self._file.flush()
            size = end - self._begin
            os.posix_fadvise(self._file.fileno(), self._begin, size, os.POSIX_FADV_DONTNEED)
            self._begin = end


@contextmanager
def open_whole(path: Path, *, durable: bool) -> Iterator[BinaryIO]:
    """A temporary file beside ``path`` to write to, renamed there at the end: whole or not at all.

    After an error it is gone, and ``path`` is as it was.

    Args:
        durable: whether it is fsynced, so that it is there after a power cut too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if durable:
            move_durably(Path(temporary), path)
        else:
            Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def open_durably(path: Path) -> AbstractContextManager[BinaryIO]:
    """A temporary file beside ``path`` to write to, fsynced and renamed there at the end.

    After an error it is gone, and ``path`` is as it was.
    """
    return open_whole(path, durable=True)


def write_durably(path: Path, content: bytes) -> None:
    """Write ``content`` to a temporary file beside ``path``, fsync it, and rename it there."""
    with open_durably(path) as file:
        file.write(content)


def move_durably(source: Path, target: Path) -> None:
    """Rename a file that is already fsynced, and fsync the folder, so that it stays renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
