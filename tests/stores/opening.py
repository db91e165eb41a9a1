"""Stores for tests: of earlier commits, written by their own code, and their tables compared."""

import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, create_engine, inspect

from main_server.store import opening
from main_server.store.migrations import CHAIN as MAIN_SERVER_CHAIN
from shared.device.migrations import CHAIN as DEVICE_CHAIN
from shared.device.tables import DeviceTables
from shared.web.access.tables import AccessTables
from shared.web.engines import parse_url
from shared.web.events import EventTables
from shared.web.jobs import JobTables

HERE = Path(__file__).parent
#: Folders named after the commit whose code wrote what lies in them.
EARLIER = sorted(path.name for path in HERE.iterdir() if (path / "device.sql").exists())
#: Those in which a client's state directory is, too.
CLIENTS = [commit for commit in EARLIER if (HERE / commit / "client").exists()]


@dataclass(frozen=True)
class Kind:
    """A kind of store: its name, its migrations, and what they come to."""

    name: str
    chain: Path
    tables: tuple[MetaData, ...]


KINDS = (
    Kind("main_server", MAIN_SERVER_CHAIN, opening.TABLES),
    Kind(
        "device",
        DEVICE_CHAIN,
        tuple(each.metadata for each in (DeviceTables, JobTables, EventTables, AccessTables)),
    ),
)


def write(commit: str, kind: str, file: Path) -> None:
    """Write the store of an earlier commit to ``file``, as SQLite."""
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file)
    connection.executescript((HERE / commit / f"{kind}.sql").read_text(encoding="utf-8"))
    connection.close()


def copy_main_server(commit: str, state: Path) -> Path:
    """Copy the state directory of a main server of an earlier commit to ``state``, whole."""
    others = shutil.ignore_patterns("*.sql", "client", "tasks.toml")
    shutil.copytree(HERE / commit, state, ignore=others)
    write(commit, "main_server", state / "main_server.db")
    return state


def rows(file: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of an SQLite store, by table."""
    connection = sqlite3.connect(file)
    connection.row_factory = sqlite3.Row
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    found = {
        name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]  # noqa: S608
        for (name,) in names
    }
    connection.close()
    return found


def schema(url: str) -> dict[str, Any]:
    """All that a database says of its tables, but for the order of columns."""
    engine = create_engine(parse_url(url))
    look = inspect(engine)
    found = {}
    for table in sorted(look.get_table_names()):
        columns = {
            column["name"]: {
                "type": str(column["type"]),
                "collation": getattr(column["type"], "collation", None),
                "nullable": column["nullable"],
                "default": column["default"],
            }
            for column in look.get_columns(table)
        }
        foreign = look.get_foreign_keys(table)
        found[table] = {
            "columns": columns,
            "key": look.get_pk_constraint(table)["constrained_columns"],
            "foreign": [
                (key["constrained_columns"], key["referred_table"], key.get("options"))
                for key in foreign
            ],
            "unique": sorted(key["column_names"] for key in look.get_unique_constraints(table)),
            "indexes": {
                index["name"]: (
                    index["column_names"],
                    {name: str(told) for name, told in index.get("dialect_options", {}).items()},
                )
                for index in look.get_indexes(table)
            },
        }
    engine.dispose()
    return found
