"""Clients that dawdle: many connections, each of which takes its time, driven by one thread."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_CONNECT_SECONDS = 30
_BEAT_SECONDS = 1.0


@dataclass
class Dawdler:
    """One connection: what it says at once, then byte by byte, and whether it reads as slowly.

    ``answered``: what it was sent, as far as it looked. ``over``: the server has ended it.
    """

    at_once: bytes = b""
    slowly: bytes = b""
    reads: bool = False
    hangs_up: bool = False
    answered: bytearray = field(default_factory=bytearray)
    over: bool = False
    connection: socket.socket | None = None

    def connect(self, port: int) -> None:
        """Begin."""
        connection = socket.socket()
        # What the system takes for a client that does not read is no patience of the server's.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(_CONNECT_SECONDS)
        connection.connect(("127.0.0.1", port))
        self.connection = connection
        with contextlib.suppress(OSError):  # refused already: that is an answer too
            connection.sendall(self.at_once)
        connection.setblocking(False)
        if self.hangs_up:
            connection.close()
            self.over = True

    def go_on(self) -> None:
        """One byte more, there and back."""
        if self.over or self.connection is None:
            return
        try:
            if self.slowly:
                self.connection.send(self.slowly[:1])
                self.slowly = self.slowly[1:]
            if self.reads:
                # One that writes looks at its answer whole, as soon as there is one.
                data = self.connection.recv(4096 if self.slowly else 1)
                self.answered += data
                self.over = not data
        except BlockingIOError:
            pass
        except OSError:
            self.over = True

    def read_all(self) -> bytes:
        """The rest of what the server sent before it ended the connection."""
        assert self.connection is not None
        self.connection.settimeout(_CONNECT_SECONDS)
        with contextlib.suppress(OSError):
            while data := self.connection.recv(65536):
                self.answered += data
        return bytes(self.answered)


class Siege:
    """Dawdlers on one server, all at the same time, until the block ends."""

    def __init__(self, port: int, dawdlers: list[Dawdler]) -> None:
        self.dawdlers = dawdlers
        self._port = port
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        for each in self.dawdlers:
            each.connect(self._port)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        for each in self.dawdlers:
            if each.connection is not None:
                each.connection.close()

    def _go_on(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            for each in self.dawdlers:
                each.go_on()

    @property
    def left(self) -> list[Dawdler]:
        """Those whom the server still bears."""
        return [each for each in self.dawdlers if not each.over]


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails when the block takes so long that somebody must have been kept waiting."""
    begun = time.monotonic()
    yield
    taken = time.monotonic() - begun
    assert taken < seconds, f"it took {taken:.1f} s"


def head(method: str, path: str, *headers: str) -> bytes:
    """A request's line and headers."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def dawdlers(upload: bytes, download: bytes) -> list[Dawdler]:
    """Of every kind.

    Args:
        upload: the head of a call with a body of 10 MB.
        download: a call whose answer has megabytes.
    """
    page = head("GET", "/healthz")
    beginning = upload + bytes(65_536)  # so much has to come before a thread looks at it
    return [
        *(Dawdler() for _ in range(500)),
        *(Dawdler(b"GET /heal") for _ in range(100)),
        *(Dawdler(b"G", page[1:] * 100) for _ in range(40)),
        *(Dawdler(upload, bytes(5000)) for _ in range(40)),
        *(Dawdler(beginning, bytes(5000), reads=True) for _ in range(40)),
        *(Dawdler(beginning) for _ in range(20)),
        *(Dawdler(beginning, hangs_up=True) for _ in range(40)),
        *(Dawdler(upload, hangs_up=True) for _ in range(20)),
        *(Dawdler(download, reads=True) for _ in range(40)),
        *(Dawdler(download) for _ in range(20)),
        # Answered at once, and told that this is all; but they never hang up.
        *(Dawdler(head("GET", "/healthz", "Connection: close")) for _ in range(100)),
    ]
