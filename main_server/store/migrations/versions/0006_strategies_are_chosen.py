"""Which strategy a task goes by is kept; each round tells with which parameters it went."""

from alembic import op
from sqlalchemy import JSON, Column, MetaData, Table

from shared.web.column_types import TEXT
from shared.web.migrations.columns import add_missing

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """To this revision."""
    tables = MetaData()
    Table(
        "task_strategies",
        tables,
        Column("task", TEXT, primary_key=True),
        Column("strategy", TEXT, nullable=False),
        Column("parameters", JSON, nullable=False),
        Column("following", JSON),
        Column("configured", JSON, nullable=False),
    )
    tables.create_all(op.get_bind())
    add_missing("rounds", [Column("parameters", JSON)])
