"""A client's connection, as the loop that watches all of them sees it."""

import ssl
from socket import socket
from typing import Any

from gunicorn.workers.gthread import TConn

from shared.web.serving.arrival import Arrival

#: So much is read from one connection before the others have their turn.
READ_AT_ONCE = 64 * 1024


class Connection(TConn):  # type: ignore[misc]
    """A client's connection: what has come of its next call, and when that has to be here."""

    def __init__(self, cfg: Any, client: socket, address: Any, server: Any) -> None:
        super().__init__(cfg, client, address, server)
        self.initialized = True  # by the worker, as far as it is needed
        self.arrival = Arrival()
        #: TCP or TLS, below what threads read and write: the loop uses this, and never waits.
        self.bare: socket = client
        self.shakes_hands = False
        #: Closed: what the same look at all connections found of it is no news any more.
        self.ended = False
        self.timeout: float = 0
        self.rest_bytes = 0

    def read(self) -> bytes | None:
        """What has come; none at the end. None: nothing yet, or half a TLS record.

        Raises:
            OSError: the connection is broken.
        """
        try:
            if self.shakes_hands and isinstance(self.bare, ssl.SSLSocket):
                self.bare.do_handshake()
                self.shakes_hands = False
            return self.bare.recv(READ_AT_ONCE) + self.read_decrypted()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def read_decrypted(self) -> bytes:
        """What TLS has read already, so that the poller does not tell of it."""
        data = b""
        while isinstance(self.bare, ssl.SSLSocket) and (more := self.bare.pending()):
            data += self.bare.recv(more)
        return data
