"""A connection whose client may be slow, but not for ever, and not at the cost of all others.

A thread that reads a body or writes an answer waits for the client. Time that it waits for
nothing else is counted here: a client that falls behind loses its call, and at most half of a
process's threads wait for clients that have kept them waiting for longer than a moment; when
calls wait for a thread, the moment is a short one. So however many clients dawdle, the other half
of the threads answers everyone else.
"""

import errno
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

from shared.errors import FedbellError
from shared.web.serving.limits import Limits

#: Waiting less than this in all is no dawdling: any network has a bad moment.
_MOMENT_SECONDS = 2.0
#: The same while others wait for a thread.
_SHORT_MOMENT_SECONDS = 0.2
_SENT_AT_ONCE = 1024 * 1024

_Done = TypeVar("_Done")


class TooSlow(FedbellError):
    """A body came too slowly, or not at all."""

    status = 408
    title = "The body came too slowly"


class TooManySlow(FedbellError):
    """Half of the threads wait for slow clients already."""

    status = 503
    title = "Too many slow clients"
    retry_after = 10


class WaitingPlaces:
    """How long the threads of one process wait for clients, and how many at the same time.

    Args:
        limits: how slow a client may be.
        threads: how many there are.
        are_wanted: tells whether calls wait for a thread.
    """

    def __init__(self, limits: Limits, threads: int, are_wanted: Callable[[], bool]) -> None:
        self.limits = limits
        self._places = threading.BoundedSemaphore(max(1, threads // 2))
        self._are_wanted = are_wanted

    def take(self) -> bool:
        """Have a place, for waiting longer than a moment; whether there was one."""
        return self._places.acquire(blocking=False)

    def give_back(self) -> None:
        """Leave it to others."""
        self._places.release()

    def moment(self) -> float:
        """How long one may wait without a place, just now; seconds."""
        return _SHORT_MOMENT_SECONDS if self._are_wanted() else _MOMENT_SECONDS


class PatientSocket:
    """A client's socket, read and written by one thread at a time.

    Has the methods of a blocking socket that Gunicorn uses for calls and answers.

    Args:
        connection: TCP, or TLS after its handshake; it is made non-blocking.
        places: those of all connections of this process.
    """

    def __init__(self, connection: socket.socket | ssl.SSLSocket, places: WaitingPlaces) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._places = places
        self._timeout: float | None = None
        self._moved, self._waited, self._has_place = 0, 0.0, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def begin_call(self) -> None:
        """A new call: what earlier ones on this connection took is forgotten."""
        self._moved, self._waited, self._timeout = 0, 0.0, None

    def end_call(self) -> None:
        """No thread waits any more."""
        if self._has_place:
            self._has_place = False
            self._places.give_back()

    def setblocking(self, _flag: bool) -> None:
        """Nothing: it never blocks, and seems to where somebody reads or writes."""

    def gettimeout(self) -> float | None:
        """What was set last."""
        return self._timeout

    def settimeout(self, seconds: float | None) -> None:
        """How long a single read or write may wait besides the limits; None: as they say."""
        self._timeout = seconds

    def recv(self, size: int) -> bytes:
        """The next bytes; none at the end.

        Raises:
            TooSlow, TooManySlow: the client dawdles.
            TimeoutError: nothing came in the time that ``settimeout`` gave.
        """
        data = self._patiently(lambda: self._connection.recv(size), select.POLLIN)
        self._moved += len(data)
        return data

    def send(self, data: bytes | memoryview) -> int:
        """Send the beginning of ``data``; how much. Raises ConnectionAbortedError: nobody reads."""
        try:
            sent = self._patiently(lambda: self._connection.send(data), select.POLLOUT)
        except (TooSlow, TooManySlow) as error:
            raise _given_up() from error
        self._moved += sent
        return sent

    def sendall(self, data: bytes) -> None:
        """Send all of ``data``. Raises as :meth:`send`."""
        rest = memoryview(data)
        while rest:
            rest = rest[self.send(rest[:_SENT_AT_ONCE]) :]

    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        """Send ``count`` bytes of a file from ``offset`` on; how many. Raises as :meth:`send`."""
        end = os.fstat(file.fileno()).st_size if count is None else offset + count
        begin, target, source = offset, self._connection.fileno(), file.fileno()
        while offset < end:
            size = min(end - offset, _SENT_AT_ONCE)

            def send(at: int = offset, size: int = size) -> int:
                return os.sendfile(target, source, at, size)

            try:
                sent = self._patiently(send, select.POLLOUT)
            except (TooSlow, TooManySlow) as error:
                raise _given_up() from error
            if not sent:
                break
            self._moved += sent
            offset += sent
        return offset - begin

    def _patiently(self, act: Callable[[], _Done], event: int) -> _Done:
        while True:
            try:
                return act()
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                if isinstance(error, ssl.SSLError):
                    wants_read = isinstance(error, ssl.SSLWantReadError)
                    event = select.POLLIN if wants_read else select.POLLOUT
            self._wait(event)

    def _wait(self, event: int) -> None:
        """Until the client sends or reads on."""
        limits = self._places.limits
        earned = limits.patience_seconds + self._moved / limits.least_bytes_per_second
        left = min(limits.patience_seconds, earned - self._waited)
        if self._timeout is not None and self._timeout < left:
            if not self._waits(event, self._timeout):
                raise TimeoutError("The time for this is over.")
            return
        begun = self._waited
        while not self._has_place and left > self._waited - begun:
            rest = self._places.moment() - self._waited
            if rest > 0 and self._waits(event, min(rest, _SHORT_MOMENT_SECONDS)):
                return
            if rest <= 0:
                self._take_place()
        if not self._waits(event, max(0.0, left - (self._waited - begun))):
            raise TooSlow(
                f"After {self._waited:.0f} seconds of waiting {self._moved} bytes had come. "
                "Nothing of this call was kept: send it again, over a better connection."
            )

    def _take_place(self) -> None:
        self._has_place = self._places.take()
        if not self._has_place:
            raise TooManySlow(
                "This server waits for as many slow clients as it can. Nothing of this call was "
                f"kept: send it again in {TooManySlow.retry_after} seconds."
            )

    def _waits(self, event: int, seconds: float) -> bool:
        """Whether it happens within so many seconds."""
        begun = time.monotonic()
        poll = select.poll()
        poll.register(self._connection, event)
        happened = poll.poll(seconds * 1000)
        self._waited += time.monotonic() - begun
        return bool(happened)


def _given_up() -> ConnectionAbortedError:
    # With this number Gunicorn takes it for what it is: a client that went away.
    return ConnectionAbortedError(errno.ECONNRESET, "The client reads too slowly.")
