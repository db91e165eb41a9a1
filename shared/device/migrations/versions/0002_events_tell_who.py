"""Events tell who did it, and from where."""

from sqlalchemy import Column

from shared.web.column_types import TEXT
from shared.web.migrations.columns import add_missing

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """To this revision."""
    add_missing("events", [Column("actor", TEXT), Column("address", TEXT)])
