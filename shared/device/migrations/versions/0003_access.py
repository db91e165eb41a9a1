"""Log-ins that failed, sessions that ended."""

from alembic import op
from sqlalchemy import Column, Double, Integer, MetaData, String, Table

revision = "0003_access"
down_revision = "0002"


def upgrade() -> None:
    """To this revision."""
    tables = MetaData()
    Table(
        "failed_log_ins",
        tables,
        Column("address", String, primary_key=True),
        Column("number", Integer, nullable=False),
        Column("last", Double, nullable=False),
        Column("blocked_until", Double, nullable=False),
    )
    Table(
        "ended_sessions",
        tables,
        Column("id", String, primary_key=True),
        Column("expires", Double, nullable=False),
    )
    tables.create_all(op.get_bind())
