"""When an update was sent, whether or not the answer came back."""

from sqlalchemy import Column, Double

from shared.web.migrations.columns import add_missing

revision = "0006_updates_on_their_way"
down_revision = "0005_what_strategies_keep"


def upgrade() -> None:
    """To this revision."""
    add_missing("pending_updates", [Column("tried", Double)])
