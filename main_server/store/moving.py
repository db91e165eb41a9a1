"""Moves the main server's store from SQLite to PostgreSQL.

``DATABASE_URL=postgresql://… python -m main_server.store.moving``, while no server runs.
"""

import sys
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Table, func, select, text

from main_server.settings import MainServerSettings
from main_server.store.opening import TABLES, open_store, sqlite_url
from shared.errors import ConfigurationError, configuration_error_ends_the_server

_ROWS_AT_ONCE = 1000


def move_store(source: str, target: str) -> int:
    """Copy every row of one store to another one, which is empty; one transaction.

    Args:
        source: the address of the store that is there; it is migrated first, and not changed
            otherwise.
        target: the address of an empty database, whose tables are made.

    Returns:
        The number of rows.

    Raises:
        ConfigurationError: the target holds rows, or one of both cannot be opened.
    """
    here, there = open_store(source), open_store(target)
    try:
        with here.read() as reading, there.write() as writing:
            return _copy(reading.connection(), writing.connection())
    finally:
        here.close()
        there.close()


def _copy(reading: Connection, writing: Connection) -> int:
    tables = [table for metadata in TABLES for table in metadata.sorted_tables]
    for table in tables:
        if writing.scalar(select(func.count()).select_from(table)):
            raise ConfigurationError(
                f"There are rows in {table.name} of the database to move to, and nothing was "
                "copied. Take an empty one."
            )
    copied = 0
    for table in tables:
        for rows in _rows(reading, table):
            writing.execute(table.insert(), rows)
            copied += len(rows)
        _number_on(writing, table)
    return copied


def _rows(reading: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    for part in reading.execute(select(table)).mappings().partitions(_ROWS_AT_ONCE):
        yield [dict(row) for row in part]


def _number_on(writing: Connection, table: Table) -> None:
    """New rows get numbers after those that were copied."""
    column = table.autoincrement_column
    if column is None or writing.dialect.name != "postgresql":
        return
    newest = writing.scalar(select(func.max(column)))
    if newest is not None:
        writing.execute(
            text("SELECT setval(pg_get_serial_sequence(:table, :column), :newest)"),
            {"table": table.name, "column": column.name, "newest": newest},
        )


def main() -> None:
    """Move the store that the settings name, and say so."""
    with configuration_error_ends_the_server():
        settings = MainServerSettings.load()
        target = settings.secret("database_url")
        if not target:
            raise ConfigurationError("DATABASE_URL says where to; set it.")
        source = settings.state_directory / "main_server.db"
        if not source.is_file():
            raise ConfigurationError(f"{source}: there is no store to move.")
        moved = move_store(sqlite_url(settings.state_directory), target)
        sys.stdout.write(f"{moved} rows moved. {source} is a copy now: keep it as a backup.\n")


if __name__ == "__main__":
    main()
