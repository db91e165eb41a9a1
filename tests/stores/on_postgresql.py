"""The store of an earlier commit in PostgreSQL: tables by the migrations of then, and its rows."""

import shutil
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    MetaData,
    String,
    Table,
    cast,
    create_engine,
    func,
    select,
    text,
)

from main_server.store.migrations import CHAIN
from shared.web.engines import parse_url
from shared.web.migrations import migrate

from .opening import rows, write

#: The revision of the main server's store at each commit. d2d80a6 had no migrations; the first
#: one makes what it had.
REVISIONS = {"d2d80a6": "0001", "a1c1c8e": "0004"}

Rows = dict[str, list[dict[str, Any]]]


def write_there(commit: str, url: str, directory: Path) -> Rows:
    """Write the main server's store of an earlier commit to an empty database.

    Args:
        directory: an empty one, for what is needed on the way.

    Returns:
        Its rows by table, as SQLite has them: JSON is text, and truth a number.
    """
    chain = _until(REVISIONS[commit], directory / "chain")
    write(commit, "main_server", directory / "earlier.db")
    found = rows(directory / "earlier.db")
    found.pop("alembic_version", None)
    engine = create_engine(parse_url(url))
    with engine.begin() as connection:
        migrate(connection, chain)
        tables = _tables(connection)
        for name in (table.name for table in tables.sorted_tables if table.name in found):
            _fill(connection, tables.tables[name], found[name])
    engine.dispose()
    return found


def rows_there(url: str) -> Rows:
    """All rows of a database by table, as SQLite would have them."""
    engine = create_engine(parse_url(url))
    with engine.connect() as connection:
        found = {}
        for name, table in _tables(connection).tables.items():
            columns = [_as_text(column) for column in table.columns]
            found[name] = [dict(row) for row in connection.execute(select(*columns)).mappings()]
    engine.dispose()
    return found


def _as_text(column: Column[Any]) -> Any:
    is_json = isinstance(column.type, JSON)
    return cast(column, String).label(column.name) if is_json else column


def _until(revision: str, chain: Path) -> Path:
    """The main server's migrations as they were when ``revision`` was the newest."""
    (chain / "versions").mkdir(parents=True)
    for file in (CHAIN / "versions").glob("[0-9]*.py"):
        if file.name[: len(revision)] <= revision:
            shutil.copy(file, chain / "versions")
    return chain


def _tables(connection: Connection) -> MetaData:
    tables = MetaData()
    tables.reflect(connection)
    return tables


def _fill(connection: Connection, table: Table, given: list[dict[str, Any]]) -> None:
    """Insert rows of SQLite, and let new ones have numbers after theirs."""
    truths = {column.name for column in table.columns if isinstance(column.type, Boolean)}
    names = list(given[0])
    places = ", ".join(f":{name}" for name in names)
    # As text: then JSON is taken as it is, also where it says null.
    statement = text(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})")  # noqa: S608
    for row in given:
        values = {name: bool(value) if name in truths else value for name, value in row.items()}
        connection.execute(statement, values)
    numbered = table.autoincrement_column
    if numbered is not None and numbered.server_default is not None:
        newest = connection.scalar(select(func.max(numbered)))
        sequence = func.pg_get_serial_sequence(table.name, numbered.name)
        connection.execute(select(func.setval(sequence, newest)))
