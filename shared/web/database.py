"""The store: SQLite by default, PostgreSQL by its address; ready for several processes at once."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from shared.errors import ConfigurationError, FedbellError
from shared.web.engines import open_engine, parse_url, reading, writing
from shared.web.migrations import bring_up_to_date

_log = logging.getLogger(__name__)

#: A database that is started together with its server may need a moment longer.
_WAIT_AT_START_SECONDS = 15.0
#: What the driver raises when it is not about what was asked, but about who is asked.
_AWAY = (OperationalError, InterfaceError)
#: PostgreSQL's number for a full disk, which is told as such.
_DISK_FULL = "53100"


class DatabaseAway(FedbellError):
    """The database server does not answer, or cannot take part now."""

    status = 503
    title = "The database is away"
    retry_after = 5


class Database:
    """Sessions on one store; what they promise is told in :mod:`shared.web.engines`.

    Args:
        url: such as ``sqlite:////state/main_server.db`` or
            ``postgresql://user:password@host:5432/name``.
        tables: every table that has to be there; made when missing.
        migrations: the folder of the chain that brings a store of an earlier Fedbell to
            ``tables``; None: there was none.

    Raises:
        ConfigurationError: there is no such database, it does not answer, or a later Fedbell
            has migrated it.
    """

    def __init__(self, url: str, *tables: MetaData, migrations: Path | None = None) -> None:
        parsed = parse_url(url)
        self._engine = open_engine(parsed)
        #: For messages: where the database server is, without what has to stay secret.
        self._place = f"{parsed.host or 'local socket'}:{parsed.port or 5432}/{parsed.database}"
        self._reading = reading(self._engine)
        self._durable = writing(self._engine, durable=True)
        self._passing = writing(self._engine, durable=False)
        self._ends: list[Callable[[], None]] = []
        try:
            for attempt in Retrying(
                retry=retry_if_exception_type(DatabaseAway),
                stop=stop_after_delay(_WAIT_AT_START_SECONDS),
                wait=wait_fixed(0.5),
                reraise=True,
            ):
                with attempt, self._telling_when_it_is_away():
                    self._prepare(tables, migrations)
        except BaseException as error:
            self.close()
            if not isinstance(error, DatabaseAway):
                raise
            raise ConfigurationError(
                f"The database server at {self._place} does not answer as it should: "
                f"{_reason(error.__cause__)}. Start it, or correct DATABASE_URL."
            ) from error

    def _prepare(self, tables: tuple[MetaData, ...], migrations: Path | None) -> None:
        if migrations is not None:
            bring_up_to_date(self._engine, migrations, tables)
            return
        with self._durable.begin() as connection:
            for metadata in tables:
                metadata.create_all(connection)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one moment of the store; it cannot change it.

        Raises:
            DatabaseAway
        """
        with self._telling_when_it_is_away(), Session(self._reading, autoflush=False) as session:
            yield session

    @contextmanager
    def write(self, durable: bool = True) -> Iterator[Session]:
        """A session that is committed at the end, or rolled back on an error.

        Args:
            durable: whether it waits for the disk. If not, a commit survives any process, and
                is on the disk with the next durable one; only a power cut before takes it back.

        Raises:
            DatabaseAway: if that is at the end, it is not known whether it was committed.
        """
        engine = self._durable if durable else self._passing
        with (
            self._telling_when_it_is_away(),
            Session(engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def before_closing(self, end: Callable[[], None]) -> None:
        """Call ``end`` when this is closed: who looks by itself, in a thread, ends that thread."""
        self._ends.append(end)

    def close(self) -> None:
        """Close all connections; those that a thread has, once it gives them back."""
        for end in self._ends:
            end()
        event.listen(self._engine.pool, "checkin", _close_for_good)
        self._engine.dispose()

    @contextmanager
    def _telling_when_it_is_away(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            is_away = isinstance(error, _AWAY) or error.connection_invalidated
            is_sqlite = self._engine.dialect.name == "sqlite"
            if is_sqlite or not is_away or is_database_disk_full(error):
                raise
            _log.warning("the database at %s is away: %s", self._place, _reason(error))
            raise DatabaseAway(
                "The main server's database does not answer as it should; the log says why. What "
                "was acknowledged is kept. Try again when it is back."
            ) from error


def _reason(error: BaseException | None) -> str:
    """What the driver says, on one line: where it could not connect to, and why."""
    told = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(told).split())


def is_database_disk_full(error: DBAPIError) -> bool:
    """Whether PostgreSQL says that its disk is full."""
    return getattr(error.orig, "sqlstate", None) == _DISK_FULL


def _close_for_good(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.invalidate()
