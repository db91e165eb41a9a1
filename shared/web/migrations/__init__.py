"""A store of an earlier Fedbell becomes one of this Fedbell, when a server starts.

A chain of migrations is a folder with a folder ``versions`` of Alembic's revision files, in order
of their names, each going on from the one before. The row of ``alembic_version`` tells how far a
store is. Alembic itself is loaded only where there is something to migrate: it takes longer to
load than all else here.
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, inspect, select

from shared.errors import ConfigurationError
from shared.web.engines import migrating

_log = logging.getLogger(__name__)

_REVISION = re.compile(r'^revision(?:: str)? = "([^"]+)"$', re.MULTILINE)
#: As Alembic makes it.
_VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


def revisions(chain: Path) -> list[str]:
    """The revisions of a chain, oldest first."""
    files = sorted((chain / "versions").glob("[0-9]*.py"))
    found = [_REVISION.search(file.read_text(encoding="utf-8")) for file in files]
    return [match[1] for match in found if match]


def bring_up_to_date(engine: Engine, chain: Path, tables: Sequence[MetaData]) -> None:
    """Make the tables of a new store; migrate those of an earlier one.

    All of it is one transaction of the one process whose turn it is: killed in the middle, the
    store is as before; the others that start with it wait, and find nothing to do.

    Args:
        chain: the folder of its migrations.
        tables: what the newest revision comes to.

    Raises:
        ConfigurationError: a later Fedbell has migrated the store.
    """
    known = revisions(chain)
    with engine.connect() as connection:
        if _revision_of(connection) == known[-1]:
            return
    with migrating(engine).begin() as connection:
        found = _revision_of(connection)
        if found is None and not _has_tables(connection, tables):
            _make(connection, tables, known[-1])
        elif found is not None and found not in known:
            raise ConfigurationError(
                f"The store was written by a later Fedbell: it is at revision {found}, and this "
                f"Fedbell knows none after {known[-1]}. Start that one again, or go back to a "
                "backup of the time before it."
            )
        elif found != known[-1]:
            migrate(connection, chain)
            _log.warning("the store was migrated from %s to %s", found or "before 0001", known[-1])
    engine.dispose()  # the connection was prepared for migrating alone


def _revision_of(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION.name):
        return None
    return connection.scalar(select(_VERSION.c.version_num))


def _has_tables(connection: Connection, tables: Sequence[MetaData]) -> bool:
    present = set(inspect(connection).get_table_names())
    return any(name in present for metadata in tables for name in metadata.tables)


def _make(connection: Connection, tables: Sequence[MetaData], revision: str) -> None:
    for metadata in (*tables, _VERSION.metadata):
        metadata.create_all(connection)
    connection.execute(_VERSION.insert().values(version_num=revision))


def migrate(connection: Connection, chain: Path) -> None:
    """Take all steps of a chain that a store has before it, in the transaction it is in.

    Raises:
        ConfigurationError: rows of SQLite refer to rows that are missing.
    """
    # Its steps are told in one line of ours.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    for name, folder in {
        "script_location": Path(__file__).parent,
        "version_locations": chain / "versions",
    }.items():
        config.set_main_option(name, str(folder.absolute()).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if dangling is not None:
            raise ConfigurationError(
                f"The store could not be migrated and is as before: a row of {dangling[0]} refers "
                f"to one of {dangling[2]} that is missing. Go back to a backup."
            )
