"""What a device keeps for a strategy, and what comes with a version for it."""

from sqlalchemy import Column

from shared.web.column_types import TEXT
from shared.web.migrations.columns import add_missing

revision = "0005_what_strategies_keep"
down_revision = "0004_used_calls"


def upgrade() -> None:
    """To this revision."""
    add_missing("pending_updates", [Column("kept", TEXT), Column("keeps", TEXT)])
    add_missing("installed_models", [Column("sent", TEXT)])
