"""One address before several servers: a proxy of TCP connections for tests."""

import itertools
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress

_CONNECT_SECONDS = 2.0
_BLOCK_BYTES = 64 * 1024


class RoundRobin:
    """Hands each connection to the next server that listens. Call :meth:`close` at the end.

    Args:
        ports: those of the servers, on this machine.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = itertools.cycle(ports)
        self._number = len(ports)
        self._next = threading.Lock()
        #: To which port each connection went, oldest first.
        self.went_to: list[int] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            server = self._connect()
            if server is None:
                return
            with server:
                back = threading.Thread(target=_pass_on, args=[server, client], daemon=True)
                back.start()
                _pass_on(client, server)
                back.join()

    def _connect(self) -> socket.socket | None:
        for _ in range(self._number):
            with self._next:
                port = next(self._ports)
            with suppress(OSError):
                found = socket.create_connection(("127.0.0.1", port), _CONNECT_SECONDS)
                found.settimeout(None)
                self.went_to.append(port)
                return found
        return None


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """All that comes, until it ends; then the other side learns that nothing more will."""
    with suppress(OSError):
        while block := source.recv(_BLOCK_BYTES):
            target.sendall(block)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
