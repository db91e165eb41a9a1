"""A wire that resets connections in the middle of what goes over it, delays, and goes away."""

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Literal

#: Close with a reset, and not after what was sent has arrived.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Cut:
    """Reset the first connection that has carried ``after`` bytes.

    ``where``: up (to the server), down, or answer: the server has it all and answers, but that
    never arrives.
    """

    where: Literal["up", "down", "answer"]
    after: int


@dataclass
class _Carried:
    up: int = 0
    down: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class FaultyWire:
    """Listens, and passes all on to ``port`` of this machine, but for what goes wrong.

    Attributes:
        cuts: what is still to go wrong, each once.
        delay_seconds: of each piece of what is sent.
        is_away: whether connections are refused.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts: list[Cut] = []
        self.delay_seconds = 0.0
        self.is_away = False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no further connection."""
        self._listener.close()

    def go_away(self) -> None:
        """Reset every connection, now and from now on."""
        self.is_away = True
        with self._lock:
            for connection in self._open:
                _reset(connection)

    def come_back(self) -> None:
        """Take connections again."""
        self.is_away = False

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.is_away:
                _reset(near)
                near.close()
            else:
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        with (
            near,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._target)) as far,
        ):
            with self._lock:
                self._open |= {near, far}
            carried = _Carried()
            back = threading.Thread(
                target=self._copy, args=(far, near, carried, "down"), daemon=True
            )
            back.start()
            self._copy(near, far, carried, "up")
            back.join()
            with self._lock:
                self._open -= {near, far}

    def _copy(
        self, source: socket.socket, sink: socket.socket, carried: _Carried, way: str
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                time.sleep(self.delay_seconds)
                with carried.lock:
                    setattr(carried, way, getattr(carried, way) + len(data))
                if self._is_cut(carried, way):
                    _reset(source)
                    _reset(sink)
                    return
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _is_cut(self, carried: _Carried, way: str) -> bool:
        with self._lock:
            for cut in self.cuts:
                is_there = cut.where == way or (cut.where == "answer" and way == "down")
                counted = carried.down if cut.where == "down" else carried.up
                if is_there and counted >= cut.after:
                    self.cuts.remove(cut)
                    return True
        return False


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.shutdown(socket.SHUT_RDWR)
