"""Gunicorn's threaded worker, with no thread for clients that say nothing, half of it, or no end.

Gunicorn's own gives each new connection a thread: for 5 s when it says nothing, for ever when
it sends half a head; and a client that does not hang up after its answer stops the whole worker
for 2 s. Here the loop that watches all connections reads heads and the beginnings of bodies, does
TLS handshakes and waits for the end of connections; a thread gets a call that is here.

Builds on the insides of gunicorn.workers.gthread, version 27; tests/hostile/test_slow_clients.py
tells when they have changed.
"""

import logging
import ssl
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from socket import SHUT_WR, socket
from typing import Any

from gunicorn import sock as gunicorn_sock
from gunicorn import util
from gunicorn.http import get_parser

from shared.errors import FedbellError
from shared.web.serving.answers import TOO_LATE, TOO_LONG, write_error
from shared.web.serving.arrival import Arrival
from shared.web.serving.body import CheckedBody
from shared.web.serving.connection import READ_AT_ONCE, Connection
from shared.web.serving.guarded import GuardedWorker
from shared.web.serving.limits import Limits
from shared.web.serving.patience import PatientSocket, WaitingPlaces

_log = logging.getLogger(__name__)

#: How long, and for how much, a closed connection stays, so that its client reads the answer.
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 8 * 1024 * 1024
#: The rest of a body that the application did not want: so long a thread waits for it.
_REST_SECONDS = 0.2
#: A worker that stops gives calls that are on their way so long to be here.
_STOP_SECONDS = 1.0


class PatientWorker(GuardedWorker):
    """See above; settings are those of :class:`Limits`, read when the worker starts."""

    def init_process(self) -> None:
        """Make what is this process's own, then serve."""
        util.write_error = write_error  # its own writes pages
        self._limits = Limits.read()
        self._places = WaitingPlaces(self._limits, self.cfg.threads, lambda: bool(self._waiting))
        self._stopped: float | None = None
        super().init_process()

    def accept(self, listener: socket) -> None:
        """Take a connection; wait for its first call."""
        try:
            client, address = listener.accept()
        except OSError as error:  # it is gone, or another worker has it
            self._make_room_for_files(error)
            return
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        client.setblocking(False)
        conn = Connection(self.cfg, client, address, listener.getsockname())
        if self.cfg.is_ssl:
            try:
                conn.sock = conn.bare = gunicorn_sock.ssl_wrap_socket(client, self.cfg)
            except OSError as error:
                _log.debug("no TLS connection: %s", error)
                self._end(conn)
                self._make_room_for_files(error)
                return
            conn.shakes_hands = True
        self._guard(self._await_call, conn)

    def _await_call(self, conn: Connection) -> None:
        conn.timeout = time.monotonic() + self._limits.arrival_seconds
        self.pending_conns.append(conn)
        self._watch(conn, self._read_on)

    def _read_on(self, conn: Connection) -> None:
        """Something of a call has come, or the end of the connection."""
        try:
            data = conn.read()
        except OSError as error:
            _log.debug("connection closed: %s", error)
            data = b""
        if data is None:
            return
        conn.arrival.add(data)
        if conn.arrival.is_too_long:
            self._stop_waiting(conn)
            self._refuse(conn, TOO_LONG)
        elif conn.arrival.is_here or (not data and conn.arrival.has_head):
            self._stop_waiting(conn)  # who has closed one direction may still want an answer
            self._hand_over(conn)
        elif not data:
            self._stop_waiting(conn)
            self._end(conn)

    def _stop_waiting(self, conn: Connection) -> None:
        self.pending_conns.remove(conn)
        self.poller.unregister(conn.sock)

    def _hand_over(self, conn: Connection) -> None:
        """Let a thread have the call."""
        if conn.parser is None:
            conn.sock = PatientSocket(conn.sock, self._places)
            conn.parser = get_parser(self.cfg, conn.sock, conn.client)
        conn.parser.unreader.unread(conn.arrival.take())
        conn.arrival = Arrival()
        self._waiting.add(conn)
        self.enqueue_req(conn)

    def handle(self, conn: Connection) -> Any:
        """Answer a call, in a thread."""
        self._waiting.discard(conn)
        conn.sock.begin_call()
        try:
            return super().handle(conn)
        finally:
            conn.sock.end_call()

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """The same, once its head is read."""
        req.body = CheckedBody(req.body)
        return super().handle_request(req, conn)

    def _keepalive_after(self, conn: Connection, keepalive: Any) -> bool:
        if not keepalive:
            return False
        try:
            deadline = time.monotonic() + _REST_SECONDS
            return bool(conn.parser.finish_body(deadline=deadline))
        except (FedbellError, OSError):
            return False

    def finish_request(self, conn: Connection, fs: "Future[Any]") -> None:
        """A thread is done with a call: wait for the next one, or for the connection's end."""
        self._guard(partial(self._go_on, fs), conn)

    def _go_on(self, fs: "Future[Any]", conn: Connection) -> None:
        try:
            goes_on = bool(not fs.cancelled() and fs.result())
        except Exception as error:  # noqa: BLE001 - whatever it was, the connection is over
            _log.debug("connection closed: %s", error)
            goes_on = False
        if not goes_on:
            self._linger(conn)
            return
        if ahead := conn.parser.unreader.take_buffered():
            conn.arrival.add(ahead)
            if conn.arrival.is_too_long:
                self._refuse(conn, TOO_LONG)
            elif conn.arrival.is_here:
                self._hand_over(conn)
            else:
                self._await_call(conn)
            return
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + _STOP_SECONDS)
        self.keepalived_conns.append(conn)
        self._watch(conn, self._await_next_call)

    def _await_next_call(self, conn: Connection) -> None:
        """A kept connection has its next call, or its end."""
        self.poller.unregister(conn.sock)
        self.keepalived_conns.remove(conn)
        self._await_call(conn)

    def _refuse(self, conn: Connection, answer: bytes) -> None:
        with suppress(OSError):
            conn.bare.send(answer)
        self._linger(conn)

    def _linger(self, conn: Connection) -> None:
        """Close our side, and the connection when the client has, or soon (RFC 9112, 9.6)."""
        try:
            conn.sock.shutdown(SHUT_WR)
            conn.timeout = time.monotonic() + _LINGER_SECONDS
            self._watch(conn, self._read_rest)
        except (OSError, KeyError, ValueError):
            self._forget(conn)
            return
        self._lingering.append(conn)

    def _read_rest(self, conn: Connection) -> None:
        try:
            data = conn.bare.recv(READ_AT_ONCE)  # here nobody waits
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        conn.rest_bytes += len(data)
        if not data or conn.rest_bytes > _LINGER_BYTES:
            self._lingering.remove(conn)
            self._forget(conn)

    def murder_pending(self) -> None:
        """End connections whose call is not here in time, or that wait for their end too long."""
        now = time.monotonic()
        if not self.alive and self._stopped is None:
            self._stopped = now
        ends = self._stopped is not None and now > self._stopped + _STOP_SECONDS
        while self.pending_conns and (ends or self.pending_conns[0].timeout <= now):
            conn = self.pending_conns.popleft()
            if len(conn.arrival):
                with suppress(OSError):
                    conn.bare.send(TOO_LATE)
            self._forget(conn)
        while self._lingering and (ends or self._lingering[0].timeout <= now):
            self._forget(self._lingering.popleft())
