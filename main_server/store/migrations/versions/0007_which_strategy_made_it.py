"""Versions tell which strategy made them, and how they do with layers that stay on devices."""

from sqlalchemy import JSON, Column, Double

from shared.web.migrations.columns import add_missing

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """To this revision."""
    add_missing("versions", [Column("made_by", JSON)])
    personal = [Column("personal_accuracy", Double), Column("personal_loss", Double)]
    add_missing("evaluations", personal)
