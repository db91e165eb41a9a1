"""Versions tell which strategy made them, and of what their file of slots is."""

from sqlalchemy import JSON, Column

from shared.web.migrations.columns import add_missing

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """To this revision."""
    add_missing("versions", [Column("made_by", JSON)])
