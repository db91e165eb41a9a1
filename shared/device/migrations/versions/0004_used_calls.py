"""Which calls of the main server were made already: a restart does not forget them."""

from alembic import op
from sqlalchemy import Column, Double, MetaData, Table

from shared.web.column_types import TEXT

revision = "0004_used_calls"
down_revision = "0003_access"


def upgrade() -> None:
    """To this revision."""
    tables = MetaData()
    Table(
        "used_calls",
        tables,
        Column("number", TEXT, primary_key=True),
        Column("used", Double, nullable=False),
    )
    tables.create_all(op.get_bind())
