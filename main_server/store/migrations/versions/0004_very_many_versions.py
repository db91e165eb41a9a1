"""Asynchronous tasks make very many versions: what is looked for at each of them is found."""

from typing import Any

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003_access"


def upgrade() -> None:
    """To this revision."""
    _make("updates_sent", "updates", ["device", "sha256"])
    _make("rounds_version", "rounds", ["task", "version"])
    _make("versions_kept", "versions", ["task", "version"], "pruned IS NULL")
    _make("versions_promoted", "versions", ["task", "version"], "promoted_from IS NOT NULL")


def _make(name: str, table: str, columns: list[str], where: str | None = None) -> None:
    """Make an index, of the rows where a condition holds, unless it is there."""
    only: dict[str, Any] = (
        {"sqlite_where": text(where), "postgresql_where": text(where)} if where is not None else {}
    )
    op.create_index(name, table, columns, if_not_exists=True, **only)
