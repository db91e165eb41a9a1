"""The store's engine: SQLite by default, ready for several processes at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, MetaData, create_engine, event, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateColumn

_BUSY_TIMEOUT_MILLISECONDS = 30_000


class Database:
    """Sessions on one database.

    SQLite runs in WAL mode, so readers never wait for a writer; a commit is on
    the disk when it returns, unless it was said that it need not be. Writers take
    their lock at the start: a transaction that has read something can then always
    write what follows from it.

    Args:
        url: an SQLAlchemy URL, such as ``sqlite:////state/main_server.db``.
        tables: every table that has to be there; made when missing.
    """

    def __init__(self, url: str, *tables: MetaData) -> None:
        self._engine = create_engine(url)
        self._is_sqlite = make_url(url).get_backend_name() == "sqlite"
        if self._is_sqlite:
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        self._durable = self._engine.execution_options(writes=True, durable=True)
        self._passing = self._engine.execution_options(writes=True, durable=False)
        with self._durable.begin() as connection:
            for metadata in tables:
                metadata.create_all(connection)
                _add_missing_columns(connection, metadata)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one moment of the store; it cannot change it."""
        with Session(self._engine, autoflush=False) as session:
            yield session

    @contextmanager
    def write(self, durable: bool = True) -> Iterator[Session]:
        """A session that is committed at the end, or rolled back on an error.

        Args:
            durable: whether it waits for the disk. If not, a commit survives any process, and
                is on the disk with the next durable one; only a power cut before takes it back.
        """
        engine = self._durable if durable else self._passing
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _add_missing_columns(connection: Connection, metadata: MetaData) -> None:
    """Give tables that an earlier Fedbell made the columns they lack; rows have NULL there."""
    inspector = inspect(connection)
    preparer = connection.dialect.identifier_preparer
    for table in metadata.sorted_tables:
        present = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in present and column.nullable:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                name = preparer.format_table(table)
                connection.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN {definition}")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MILLISECONDS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("writes"):
        connection.exec_driver_sql("BEGIN")
        return
    level = "FULL" if options["durable"] else "NORMAL"
    connection.exec_driver_sql(f"PRAGMA synchronous = {level}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
