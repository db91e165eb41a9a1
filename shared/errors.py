"""The errors of the project: each a type, a title and a sentence a person can act on.

Over HTTP they become RFC 9457 problem details (shared/web/problems.py); on the
command line, one line on standard error.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

#: Gunicorn takes this exit code as "the application cannot be loaded": it stops, and does
#: not try again.
_CANNOT_LOAD = 4


class FedbellError(Exception):
    """Anything that went wrong in a way we can explain.

    Args:
        detail: one or two sentences: what is wrong, with its name, and the way out.
        members: further facts, JSON values, added to the problem details as they are.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"
    #: Seconds after which the same call may be answered otherwise.
    retry_after: ClassVar[int | None] = None

    def __init__(self, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = members

    @property
    def kind(self) -> str:
        """The type in kebab case, such as ``stale-update``: what programs compare."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", type(self).__name__).lower()

    def as_problem(self) -> dict[str, Any]:
        """RFC 9457 problem details, ready for JSON."""
        return {
            "type": f"urn:fedbell:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }


class ConfigurationError(FedbellError):
    """A settings file or environment variable is wrong; the server does not start."""

    status = 500
    title = "The configuration is wrong"


class UnreadablePicture(FedbellError):
    """A file that should be a picture could not be decoded."""

    status = 422
    title = "A picture cannot be read"


@contextmanager
def configuration_error_ends_the_server() -> Iterator[None]:
    """Tell of a ConfigurationError in one line on standard error, and end the process."""
    try:
        yield
    except ConfigurationError as error:
        sys.stderr.write(f"{error.title}: {error.detail}\n")
        sys.exit(_CANNOT_LOAD)
