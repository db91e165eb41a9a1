"""Who acts just now, and from where: what the log says of everything that happens.

A request sets it at its beginning; work that goes on in a thread of its own carries it along.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, replace

OPERATOR, VIEWER, ANONYMOUS = "operator", "viewer", "anonymous"
#: On a device: the main server, by its proof. No device can have this name: it holds a space.
MAIN_SERVER = "main server"


@dataclass(frozen=True)
class Caller:
    """Who calls.

    Attributes:
        name: operator, viewer, a device's name, ``main server``; ``anonymous`` for whoever is not
            known; None: this server itself.
        address: the IP address that the call came from.
    """

    name: str | None
    address: str | None


_NOBODY = Caller(None, None)
_caller: ContextVar[Caller] = ContextVar("caller", default=_NOBODY)


def current() -> Caller:
    """Who acts in this thread; without a name, this server itself."""
    return _caller.get()


def begin(caller: Caller) -> Token[Caller]:
    """From now on ``caller`` acts in this thread, until :func:`end`."""
    return _caller.set(caller)


def end(token: Token[Caller]) -> None:
    """Whoever acted before acts again."""
    _caller.reset(token)


def known_as(name: str) -> None:
    """It has turned out who the caller is: a device, by its token."""
    if _caller.get() is not _NOBODY:
        _caller.set(replace(_caller.get(), name=name))


@contextmanager
def acting(caller: Caller) -> Iterator[None]:
    """Meanwhile ``caller`` acts in this thread."""
    token = begin(caller)
    try:
        yield
    finally:
        end(token)
