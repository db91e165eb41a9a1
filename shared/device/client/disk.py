"""What a person is told when a file of a client cannot be read or written."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.device.client.settings import ClientSettings
from shared.errors import FedbellError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: What writing to a disk may fail with, without a word about the file.
_OF_DISKS = _FULL | {errno.EROFS, errno.EFBIG}


class DiskProblem(FedbellError):
    """A file of this client cannot be read or written."""

    status = 507
    title = "A file cannot be read or written"


@contextmanager
def disk_problems(settings: ClientSettings) -> Iterator[None]:
    """Meanwhile an OSError of this machine becomes a DiskProblem: its path, and the way out.

    Those of connections are let through.
    """
    try:
        yield
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:
        path = Path(error.filename) if error.filename else None
        if path is None and error.errno in _OF_DISKS:
            # A write that fails does not say to which file. All that is written is there.
            path = settings.state_directory
        where = f"{path}: " if path else ""
        told = f"{where}{error.strerror or error}.{_way_out(error, path, settings)}"
        raise DiskProblem(told) from error


def _way_out(error: OSError, path: Path | None, settings: ClientSettings) -> str:
    """A sentence with a space before it; empty: the path says all there is."""
    if error.errno in _FULL:
        return " Free some space, and start the client again: it goes on where it was."
    if path is None:
        return ""
    # In a folder first: the one may be on the way to the other.
    for is_there in (Path.is_relative_to, _leads_to):
        if is_there(path, settings.state_directory):
            return (
                " What the client keeps is written there: make that possible, or name another "
                "folder with --state DIR."
            )
        if is_there(path, settings.data):
            return (
                " The data are read there: make it readable, or name another folder with --data "
                "DIR."
            )
    return ""


def _leads_to(path: Path, folder: Path) -> bool:
    return folder.is_relative_to(path)
