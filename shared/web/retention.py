"""How long the log of events is: so many of the newest rows, and older ones only for a while."""

import threading
import time
from contextlib import suppress

from flask import Flask
from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError

from shared.web.database import Database
from shared.web.events import Event

#: How often one process looks, in seconds.
_LOOK_SECONDS = 60.0
#: Deleted in one transaction; others write in between.
_BATCH = 5_000


class Retention:
    """Forgets the oldest events when there are too many.

    Args:
        keep: how many of the newest are kept at least. A tenth more may be there, and what has
            come since the last look.
    """

    def __init__(self, database: Database, keep: int) -> None:
        self._database = database
        self._keep = keep
        self._due = 0.0
        self._looks = threading.Lock()

    def look(self) -> None:
        """Forget what is too old, unless somebody looked within the last minute."""
        if time.monotonic() < self._due or not self._looks.acquire(blocking=False):
            return
        try:
            self._due = time.monotonic() + _LOOK_SECONDS
            self.prune()
        finally:
            self._looks.release()

    def prune(self) -> int:
        """Forget what is too old; how many events that were, or would be without gaps."""
        with self._database.read() as session:
            oldest, newest = session.execute(select(func.min(Event.id), func.max(Event.id))).one()
        if oldest is None or newest - oldest < self._keep + self._keep // 10:
            return 0
        last = newest - self._keep
        for begin in range(oldest, last + 1, _BATCH):
            end = min(begin + _BATCH - 1, last)
            with self._database.write(durable=False) as session:
                session.execute(delete(Event).where(Event.id.between(begin, end)))
        return last + 1 - oldest


def init_app(app: Flask, database: Database, keep: int) -> None:
    """Look after calls of ``app``, which come all the time: heartbeats, if nothing else."""
    retention = Retention(database, keep)

    @app.teardown_request
    def look(_error: BaseException | None) -> None:
        with suppress(SQLAlchemyError):  # a full disk, say: the next look may do better
            retention.look()
