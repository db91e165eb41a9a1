"""Devices that come by themselves, rounds that end, updates that arrive out of step."""

from alembic import op
from sqlalchemy import JSON, Column, Double, ForeignKey, MetaData, Table, inspect

from shared.web.column_types import TEXT, WHOLE
from shared.web.migrations.columns import add_missing

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """To this revision."""
    add_missing("devices", [Column("revoked", Double), Column("rotation_asked", Double)])
    with op.batch_alter_table("devices") as devices:
        devices.alter_column("url", nullable=True)
        devices.alter_column("page_url", nullable=True)
    failures = Column("failures", WHOLE, nullable=False, server_default="0")
    add_missing("device_tasks", [failures, Column("rests_until", WHOLE)])
    add_missing("versions", [Column("state", JSON), Column("pruned", Double)])
    rounds = [Column("selected", JSON), Column("quorum", WHOLE), Column("deadline", Double)]
    add_missing("rounds", rounds)
    _updates()
    add_missing("events", [Column("actor", TEXT), Column("address", TEXT)])


def _updates() -> None:
    number = Column("number", WHOLE, nullable=False, server_default="0")
    floats = [Column(name, Double) for name in ("weight", "norm")]
    told = [Column("base_version", WHOLE), *floats, Column("outlier", TEXT)]
    add_missing("updates", [number, *told])
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        # SQLite cannot change a key: the table is made anew, and its rows are copied.
        with op.batch_alter_table("updates", recreate="always", copy_from=_new_updates()):
            return
    key = ["round_id", "device", "number"]
    if inspect(connection).get_pk_constraint("updates")["constrained_columns"] != key:
        op.drop_constraint("updates_pkey", "updates", type_="primary")
        op.create_primary_key("updates_pkey", "updates", key)


def _new_updates() -> Table:
    return Table(
        "updates",
        MetaData(),
        Column("round_id", WHOLE, ForeignKey("rounds.id"), primary_key=True),
        Column("device", TEXT, primary_key=True),
        Column(
            "number",
            WHOLE,
            primary_key=True,
            autoincrement=False,
            server_default="0",
        ),
        Column("sha256", TEXT, nullable=False),
        Column("num_samples", WHOLE, nullable=False),
        Column("metrics", JSON, nullable=False),
        Column("bytes", WHOLE, nullable=False),
        Column("received", Double, nullable=False),
        Column("base_version", WHOLE),
        Column("weight", Double),
        Column("norm", Double),
        Column("outlier", TEXT),
    )
