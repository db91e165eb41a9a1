"""What a person is told when a file of a client cannot be read or written."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.device.client.settings import ClientSettings
from shared.errors import FedbellError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


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
        # A write that fails does not say to which file. All that is written is there.
        path = Path(error.filename) if error.filename else settings.state_directory
        what = f"{path}: {error.strerror or error}."
        raise DiskProblem(f"{what} {_way_out(error, path, settings)}") from error


def _way_out(error: OSError, path: Path, settings: ClientSettings) -> str:
    if error.errno in _FULL:
        return "Free some space, and start the client again: it goes on where it was."
    is_kept = path.is_relative_to(settings.state_directory)
    if path.is_relative_to(settings.data) and not is_kept:
        return "The data are read there: make it readable, or name another folder with --data DIR."
    return (
        "What the client keeps is written there: make that possible, or name another folder "
        "with --state DIR."
    )
