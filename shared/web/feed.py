"""One look at the store for all event streams of a process.

However many pages listen, one thread looks whether something is new, a few times a second and
only while somebody listens; it wakes the streams, which then read what they want of it.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from shared.web.database import Database

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.4

#: What open pages show of running work, read anew at each look: when it differs, they are told.
Glance = Callable[[Session], Hashable]


@dataclass(frozen=True)
class News:
    """What a look found. ``progress``: the glance differs."""

    progress: bool


class Feed:
    """Tells listeners that the store has changed.

    Args:
        database: looked at.
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
        self._looks = False
        #: How often there was a new event, and how often another glance.
        self.events, self.progress = 0, 0

    @contextmanager
    def listening(self) -> Iterator["Listener"]:
        """A listener; looking goes on while there is one."""
        with self._changed:
            self._listeners += 1
            if not self._looks:
                self._looks = True
                threading.Thread(target=self._look, name="event-feed", daemon=True).start()
            listener = Listener(self, self._changed)
        try:
            yield listener
        finally:
            with self._changed:
                self._listeners -= 1

    def _look(self) -> None:
        before: tuple[Hashable, Hashable] | None = None
        while True:
            with self._changed:
                if not self._listeners:
                    self._looks = False
                    return
            try:
                with self._database.read() as session:
                    now = session.scalar(self._newest), self._glance(session)
            except Exception:  # noqa: BLE001 - the next look may work; pages see what they ask for
                _log.exception("the store cannot be looked at")
                time.sleep(_LOOK_SECONDS)
                continue
            with self._changed:
                # The first look tells what may have come between a page and its stream.
                self.events += before is None or now[0] != before[0]
                self.progress += before is None or now[1] != before[1]
                self._changed.notify_all()
            before = now
            time.sleep(_LOOK_SECONDS)


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
