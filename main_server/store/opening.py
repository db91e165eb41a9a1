"""The main server's store, opened: its tables, and what brings an earlier one to them."""

from pathlib import Path

from main_server.store.migrations import CHAIN
from main_server.store.revoked_tokens import RevokedToken
from shared.web.access.tables import AccessTables
from shared.web.database import Database
from shared.web.events import EventTables
from shared.web.jobs import JobTables

#: Every table of the store.
TABLES = (
    RevokedToken.metadata,  # all of Tables
    JobTables.metadata,
    EventTables.metadata,
    AccessTables.metadata,
)


def sqlite_url(directory: Path) -> str:
    """Where the store lies in a state directory, unless a database server keeps it."""
    return f"sqlite:///{(directory / 'main_server.db').absolute()}"


def open_store(url: str) -> Database:
    """The store at ``url``: made, migrated or as it is. Raises ConfigurationError."""
    return Database(url, *TABLES, migrations=CHAIN)
