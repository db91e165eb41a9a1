"""A device's store as it was before there were migrations.

One that an even earlier Fedbell made gets what it lacks.
"""

from sqlalchemy import JSON, Boolean, Column, Double, LargeBinary, MetaData, String, Table

from shared.web.column_types import TEXT, WHOLE
from shared.web.migrations.columns import create_missing

revision = "0001"
down_revision = None

TABLES = MetaData()

Table(
    "facts",
    TABLES,
    Column("name", TEXT, primary_key=True),
    Column("value", TEXT, nullable=False),
)
Table(
    "installed_models",
    TABLES,
    Column("task", TEXT, primary_key=True),
    Column("version", WHOLE, nullable=False),
    Column("file", TEXT, nullable=False),
    Column("etag", TEXT, nullable=False),
    Column("evaluation", JSON),
    Column("problem", TEXT),
)
Table(
    "pending_updates",
    TABLES,
    Column("task", TEXT, primary_key=True),
    Column("base_version", WHOLE, nullable=False),
    Column("num_samples", WHOLE, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("file", TEXT, nullable=False),
    Column("result", JSON, nullable=False),
    Column("trained", Double, nullable=False),
    Column("answer", JSON),
)
Table(
    "tasks",
    TABLES,
    Column("name", TEXT, primary_key=True),
    Column("position", WHOLE, nullable=False),
    Column("definition", JSON, nullable=False),
    Column("version", WHOLE),
    Column("distributed_version", WHOLE),
)
Table(
    "unreadable_pictures",
    TABLES,
    Column("task", TEXT, primary_key=True),
    Column("pictures", JSON, nullable=False),
)
Table(
    "uploaded_pictures",
    TABLES,
    Column("task", TEXT, primary_key=True),
    Column("sha256", TEXT, primary_key=True),
    Column("label", TEXT),
    Column("label_from", String),
    Column("split", TEXT),
    Column("name", TEXT, nullable=False),
    Column("format", String, nullable=False),
    Column("width", WHOLE, nullable=False),
    Column("height", WHOLE, nullable=False),
    Column("bytes", WHOLE, nullable=False),
    Column("added", Double, nullable=False),
    Column("labelled", Double),
    Column("tried", Boolean, nullable=False),
    Column("trained", Double),
    Column("file", TEXT, nullable=False),
)
Table(
    "uploaded_thumbnails",
    TABLES,
    Column("task", TEXT, primary_key=True),
    Column("sha256", TEXT, primary_key=True),
    Column("jpeg", LargeBinary, nullable=False),
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
