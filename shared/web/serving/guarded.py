"""Gunicorn's threaded worker, with connections that cannot end it, nor each other by accident."""

import errno
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from selectors import EVENT_READ
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from shared.web.serving.connection import Connection

_log = logging.getLogger(__name__)

_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
#: The loop looks again for a file to open after so long, when threads have all of them.
_PAUSE_SECONDS = 0.05


class GuardedWorker(ThreadWorker):  # type: ignore[misc]
    """Watches and ends connections for :class:`PatientWorker`, which knows what they are for."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        #: Calls that no thread has taken yet; adding and removing needs no lock.
        self._waiting: set[Connection] = set()
        #: Answered, and to be closed when their clients have closed them.
        self._lingering: deque[Connection] = deque()

    def _watch(self, conn: Connection, act: Callable[[Connection], None]) -> None:
        """``act`` when something comes."""
        self.poller.register(conn.sock, EVENT_READ, lambda _fileobj: self._guard(act, conn))

    def _guard(self, act: Callable[[Connection], None], conn: Connection) -> None:
        """Go on with a connection; whatever goes wrong with it ends it, and no other."""
        if conn.ended:  # to make room, since the poller told of it
            return
        try:
            act(conn)
        except Exception:  # noqa: BLE001 - whatever it was, it is this one's
            _log.exception("a connection was ended")
            for waiting in self._idle():
                with suppress(ValueError):
                    waiting.remove(conn)
            self._waiting.discard(conn)
            self._forget(conn)

    def _forget(self, conn: Connection) -> None:
        with suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)
        self._end(conn)

    def _end(self, conn: Connection) -> None:
        if not conn.ended:
            conn.ended = True
            self.nr_conns -= 1
            conn.close()

    def _idle(self) -> "tuple[deque[Connection], ...]":
        return self._lingering, self.keepalived_conns, self.pending_conns

    def _make_room(self) -> bool:
        """End the connection that has done nothing for the longest time; whether there is one."""
        for waiting in self._idle():
            if waiting:
                self._forget(waiting.popleft())
                return True
        return False

    def _make_room_for_files(self, error: OSError) -> None:
        """The same if too many files are open; else the poller would tell of it again and again."""
        if error.errno in _TOO_MANY_FILES and not self._make_room():
            time.sleep(_PAUSE_SECONDS)
