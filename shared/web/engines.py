"""What SQLite and PostgreSQL have to be told so that a store means the same in both.

Both promise: a reader sees one moment. Writers take turns from their start on, so one that has
read something can always write what follows from it, and what gets ascending numbers is seen in
their order. A commit is on the disk when it returns, unless it was said that it need not be.
"""

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from shared.errors import ConfigurationError

_BUSY_TIMEOUT_MILLISECONDS = 30_000
#: The turn of a process that stopped in the middle, or whose machine is gone, is over after that.
_IDLE_TIMEOUT_MILLISECONDS = 60_000
#: PostgreSQL's lock that stands for the turn to write; it is the database's own.
_TURN = int.from_bytes(b"fedbell", "big")
_POSTGRESQL_CONNECTION = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "application_name": "fedbell",
}


def parse_url(url: str) -> URL:
    """The address of a store, with the driver that is used for it.

    Raises:
        ConfigurationError: it is no address of a database that Fedbell knows; without it, for
            it may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(
            "DATABASE_URL is no address of the form postgresql://user:password@host:5432/name."
        ) from error
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        defaults = {
            name: str(value)
            for name, value in _POSTGRESQL_CONNECTION.items()
            if name not in parsed.query
        }
        return parsed.set(drivername="postgresql+psycopg").update_query_dict(defaults)
    if parsed.drivername == "sqlite" and parsed.database:
        return parsed
    raise ConfigurationError(
        f"DATABASE_URL begins with {parsed.drivername}://; Fedbell keeps its store in PostgreSQL "
        "(postgresql://user:password@host:5432/name) or SQLite (sqlite:////folder/file.db)."
    )


def open_engine(url: URL) -> Engine:
    """An engine for a parsed address. It connects when it is first used.

    Its options: ``writes``, and with that ``durable`` and, for one that changes tables,
    ``migrates``; see :func:`reading`, :func:`writing` and :func:`migrating`.

    Raises:
        ConfigurationError: the driver is not installed.
    """
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        # A connection that was lost while it rested is noticed before it is used again.
        engine = create_engine(url, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "DATABASE_URL names PostgreSQL, whose driver is not installed. Install Fedbell with "
            "its extra postgresql, or psycopg[binary]."
        ) from error
    event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def reading(engine: Engine) -> Engine:
    """The same engine for transactions that see one moment and change nothing."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def writing(engine: Engine, *, durable: bool) -> Engine:
    """The same engine for transactions that write; ``durable``: they wait for the disk."""
    options = {"writes": True, "durable": durable}
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**options)
    # Each statement sees all that was committed before it. A moment of the whole transaction
    # would begin while it waits for its turn.
    return engine.execution_options(isolation_level="READ COMMITTED", **options)


def migrating(engine: Engine) -> Engine:
    """The same engine for one transaction that changes tables; dispose of it afterwards."""
    return writing(engine, durable=True).execution_options(migrates=True)


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
    if options.get("migrates"):
        # A table is changed by making it anew; deleting the old one must delete no other rows.
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        # However long another process migrates: whoever started us decides how long we may wait.
        connection.exec_driver_sql("PRAGMA busy_timeout = 2147483647")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {_BUSY_TIMEOUT_MILLISECONDS}")
        cursor.execute(f"SET idle_in_transaction_session_timeout = {_IDLE_TIMEOUT_MILLISECONDS}")
    connection.autocommit = False


def _begin_postgresql(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("writes"):
        return
    if options.get("migrates"):
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    elif not options["durable"]:
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TURN})")
