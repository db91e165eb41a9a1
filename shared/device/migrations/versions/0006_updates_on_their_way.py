"""Whether an update was sent, and no answer has come."""

from sqlalchemy import Boolean, Column

from shared.web.migrations.columns import add_missing

revision = "0006_updates_on_their_way"
down_revision = "0005_what_strategies_keep"


def upgrade() -> None:
    """To this revision."""
    add_missing("pending_updates", [Column("on_its_way", Boolean)])
