"""The store as it was before there were migrations.

One that an even earlier Fedbell made gets what it lacks.
"""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    MetaData,
    Table,
    UniqueConstraint,
    text,
)

from shared.web.column_types import TEXT, WHOLE
from shared.web.migrations.columns import create_missing

revision = "0001"
down_revision = None

TABLES = MetaData()

Table(
    "device_steps",
    TABLES,
    Column("task", TEXT, primary_key=True),
    Column("round", WHOLE, primary_key=True, autoincrement=False),
    Column("step", TEXT, primary_key=True),
    Column("device", TEXT, primary_key=True),
    Column("state", TEXT, nullable=False),
    Column("job", TEXT),
    Column("started", Double, nullable=False),
    Column("finished", Double),
    Column("attempts", WHOLE, nullable=False),
    Column("result", JSON),
    Column("problem", JSON),
    Index("device_steps_done", "task", "step", "device", "state", "round"),
    Index(
        "device_steps_failed",
        "task",
        "device",
        "started",
        sqlite_where=text("state = 'failed'"),
        postgresql_where=text("state = 'failed'"),
    ),
    Index(
        "device_steps_running",
        "task",
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
)
Table(
    "devices",
    TABLES,
    Column("name", TEXT, primary_key=True),
    Column("url", TEXT, nullable=False),
    Column("address", TEXT),
    Column("page_url", TEXT, nullable=False),
    Column("token_hash", TEXT, nullable=False, unique=True),
    Column("enrolled", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
)
Table(
    "evaluations",
    TABLES,
    Column("task", TEXT, primary_key=True),
    Column("version", WHOLE, primary_key=True, autoincrement=False),
    Column("device", TEXT, primary_key=True),
    Column("accuracy", Double, nullable=False),
    Column("loss", Double, nullable=False),
    Column("num_samples", WHOLE, nullable=False),
    Column("confusion", JSON),
)
Table(
    "federation",
    TABLES,
    Column("id", TEXT, primary_key=True),
)
Table(
    "rounds",
    TABLES,
    Column("id", WHOLE, primary_key=True),
    Column("task", TEXT, nullable=False),
    Column("number", WHOLE, nullable=False),
    Column("status", TEXT, nullable=False),
    Column("strategy", TEXT, nullable=False),
    Column("base_version", WHOLE, nullable=False),
    Column("version", WHOLE),
    Column("started", Double, nullable=False),
    Column("finished", Double),
    Column("unchanged", JSON),
    UniqueConstraint("task", "number"),
)
Table(
    "versions",
    TABLES,
    Column("task", TEXT, primary_key=True),
    Column("version", WHOLE, primary_key=True, autoincrement=False),
    Column("sha256", TEXT, nullable=False),
    Column("fingerprint", TEXT, nullable=False),
    Column("backbone", TEXT, nullable=False),
    Column("network", JSON, nullable=False),
    Column("bytes", WHOLE, nullable=False),
    Column("created", Double, nullable=False),
    Column("released", Boolean, nullable=False),
    Column("promoted_from", WHOLE),
)
Table(
    "device_tasks",
    TABLES,
    Column("device", TEXT, ForeignKey("devices.name", ondelete="CASCADE"), primary_key=True),
    Column("task", TEXT, primary_key=True),
    Column("num_samples", WHOLE, nullable=False),
    Column("version", WHOLE),
    Column("problem", TEXT),
    Column("reservation", TEXT),
    Column("activity", JSON),
)
Table(
    "updates",
    TABLES,
    Column("round_id", WHOLE, ForeignKey("rounds.id"), primary_key=True),
    Column("device", TEXT, primary_key=True),
    Column("sha256", TEXT, nullable=False),
    Column("num_samples", WHOLE, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("bytes", WHOLE, nullable=False),
    Column("received", Double, nullable=False),
)
Table(
    "jobs",
    TABLES,
    Column("id", TEXT, primary_key=True),
    Column("kind", TEXT, nullable=False),
    Column("task", TEXT, nullable=False),
    Column("status", TEXT, nullable=False, index=True),
    Column("process", TEXT, nullable=False),
    Column("started", Double, nullable=False, index=True),
    Column("finished", Double),
    Column("cancel_requested", Boolean, nullable=False),
    Column("progress", JSON),
    Column("result", JSON),
    Column("problem", JSON),
)
Table(
    "events",
    TABLES,
    Column("id", WHOLE, primary_key=True),
    Column("time", Double, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("task", TEXT),
    Column("device", TEXT),
    Column("message", TEXT, nullable=False),
)


def upgrade() -> None:
    """To this revision."""
    create_missing(TABLES)
