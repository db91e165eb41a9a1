"""Quick restarts choose as none would; who is asked in the place of a lost device is known."""

from sqlalchemy import JSON, Column, Double

from shared.web.migrations.columns import add_missing

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """To this revision."""
    add_missing("federation", [Column("last_heard", Double), Column("last_started", Double)])
    add_missing("rounds", [Column("stand_ins", JSON)])
