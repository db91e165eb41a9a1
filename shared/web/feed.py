"""One look at the store for all event streams of a process.

However many pages listen, one thread looks whether something is new, a few times a second and
only while somebody listens; it wakes the streams, which then read what they want of it.
"""

import logging
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from shared.web.database import Database, DatabaseAway

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.4
#: While the database is away, pauses grow up to that.
_LONGEST_PAUSE_SECONDS = 5.0
#: How long :meth:`Feed.close` waits for a look that goes on.
_CLOSE_SECONDS = 10.0

#: What open pages show of running work, read anew at each look: when it differs, they are told.
Glance = Callable[[Session], Hashable]


@dataclass(frozen=True)
class News:
    """What a look found. ``progress``: the glance differs."""

    progress: bool


class Feed:
    """Tells listeners that the store has changed.

    Args:
        database: looked at, until it is closed.
        newest: the column whose greatest value grows with each event.
        glance: see :data:`Glance`.
    """

    def __init__(
        self, database: Database, newest: InstrumentedAttribute[int], glance: Glance
    ) -> None:
        self._database = database
        self._newest = select(func.max(newest))
        self._glance = glance
        self._changed = threading.Condition()
        self._listeners = 0
        self._looks: threading.Thread | None = None
        self._closed = threading.Event()
        database.before_closing(self.close)
        #: How often there was a new event, and how often another glance.
        self.events, self.progress = 0, 0

    @contextmanager
    def listening(self) -> Iterator["Listener"]:
        """A listener; looking goes on while there is one."""
        with self._changed:
            self._listeners += 1
            if not self._looks:
                self._looks = threading.Thread(target=self._look, name="event-feed", daemon=True)
                self._looks.start()
            listener = Listener(self, self._changed)
        try:
            yield listener
        finally:
            with self._changed:
                self._listeners -= 1

    def close(self) -> None:
        """Look no more, whoever listens; when it returns, no look goes on."""
        self._closed.set()
        with self._changed:
            looks = self._looks
        if looks:
            looks.join(_CLOSE_SECONDS)

    def _look(self) -> None:
        before: tuple[Hashable, Hashable] | None = None
        pause = _LOOK_SECONDS
        while True:
            with self._changed:
                if not self._listeners or self._closed.is_set():
                    self._looks = None
                    return
            try:
                with self._database.read() as session:
                    now = session.scalar(self._newest), self._glance(session)
            except DatabaseAway:  # the database has told it, in a line
                self._closed.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            except Exception:  # noqa: BLE001 - the next look may work; pages see what they ask for
                _log.exception("the store cannot be looked at")
                self._closed.wait(_LOOK_SECONDS)
                continue
            with self._changed:
                # The first look tells what may have come between a page and its stream.
                self.events += before is None or now[0] != before[0]
                self.progress += before is None or now[1] != before[1]
                self._changed.notify_all()
            before, pause = now, _LOOK_SECONDS
            self._closed.wait(_LOOK_SECONDS)


class Listener:
    """Waits for news of a feed."""

    def __init__(self, feed: Feed, changed: threading.Condition) -> None:
        self._feed = feed
        self._changed = changed
        self._events, self._progress = feed.events, feed.progress

    def wait(self, seconds: float) -> News | None:
        """What is new since the last call; None when nothing came within ``seconds``."""
        with self._changed:
            if not self._changed.wait_for(self._is_behind, seconds):
                return None
            news = News(self._progress != self._feed.progress)
            self._events, self._progress = self._feed.events, self._feed.progress
            return news

    def _is_behind(self) -> bool:
        return (self._events, self._progress) != (self._feed.events, self._feed.progress)
