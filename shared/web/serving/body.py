"""A call's body as the application reads it: what is wrong with it is the client's fault."""

from typing import Any

from gunicorn.http.errors import NoMoreData, ParseException

from shared.errors import FedbellError


class DamagedBody(FedbellError):
    """A body in chunks that are none."""

    status = 400
    title = "The body is damaged"


class CheckedBody:
    """Gunicorn's body, whose errors have a status and a sentence.

    Args:
        body: with the methods of ``wsgi.input``.
    """

    def __init__(self, body: Any) -> None:
        self._body = body

    @property
    def failed(self) -> bool:
        """Whether reading it failed, so that nobody knows where the next call begins."""
        return bool(self._body.failed)

    def read(self, size: int | None = None) -> bytes:
        """The next ``size`` bytes, fewer at the end only; without ``size`` all that is left.

        Raises:
            DamagedBody: it is not framed as its headers say.
        """
        return self._checked(self._body.read, size)

    def readline(self, size: int | None = None) -> bytes:
        """The next line. Raises DamagedBody."""
        return self._checked(self._body.readline, size)

    def __iter__(self) -> "CheckedBody":
        return self

    def __next__(self) -> bytes:
        if line := self.readline():
            return line
        raise StopIteration

    def _checked(self, read: Any, size: int | None) -> bytes:
        try:
            data: bytes = read(size)
        except NoMoreData as error:
            raise ConnectionResetError("The client hung up.") from error
        except ParseException as error:
            raise DamagedBody(f"The body's chunks are damaged: {error}. Send it again.") from error
        return data
