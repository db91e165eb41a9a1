"""How long the log of events is: so many of the newest rows, and older ones only for a while.

What people do, and who may take part, is kept apart from what goes on by itself: however much of
that there is, no log-in and no revocation is forgotten for it.
"""

import threading
import time
from contextlib import suppress

from flask import Flask
from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.exc import SQLAlchemyError

from shared.web.database import Database
from shared.web.events import Event

#: How often one process looks, in seconds.
_LOOK_SECONDS = 60.0
#: What happens by itself, on both servers, often: the rest are actions.
ROUTINE = frozenset(
    {
        "auto_train",
        "device_problem",
        "device_rested",
        "device_trained",
        "evaluated",
        "installed",
        "job_failed",
        "round_opened",
        "sent",
        "step_failed",
        "trained",
        "update_outlier",
        "update_received",
        "update_refused",
        "version_made",
        "version_measured",
        "versions_pruned",
    }
)
#: Deleted in one transaction; others write in between.
_BATCH = 5_000


class Retention:
    """Forgets the oldest events when there are too many.

    Args:
        keep: how many of the newest are kept at least, of actions and of routine each. A tenth
            more may be there, and what has come since the last look.
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
        """Forget what is too old; how many events that were."""
        with self._database.read() as session:
            oldest, newest = session.execute(select(func.min(Event.id), func.max(Event.id))).one()
        if oldest is None or newest - oldest < self._keep + self._keep // 10:
            return 0
        is_routine = Event.kind.in_(sorted(ROUTINE))
        return self._prune(is_routine) + self._prune(~is_routine)

    def _prune(self, of_class: ColumnElement[bool]) -> int:
        """The same, of one class; one look over the rows says which."""
        newest_first = select(Event.id).where(of_class).order_by(Event.id.desc())
        with self._database.read() as session:
            most = self._keep + self._keep // 10
            if session.scalar(newest_first.offset(most - 1).limit(1)) is None:
                return 0
            old = list(session.scalars(newest_first.offset(self._keep)))
        for begin in range(0, len(old), _BATCH):
            batch = old[begin : begin + _BATCH]
            with self._database.write(durable=False) as session:
                between = Event.id.between(batch[-1], batch[0])
                session.execute(delete(Event).where(between, of_class))
        return len(old)


def init_app(app: Flask, database: Database, keep: int) -> None:
    """Look after calls of ``app``, which come all the time: heartbeats, if nothing else."""
    retention = Retention(database, keep)

    @app.teardown_request
    def look(_error: BaseException | None) -> None:
        with suppress(SQLAlchemyError):  # a full disk, say: the next look may do better
            retention.look()
