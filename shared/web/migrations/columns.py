"""Steps that migrations take and that change nothing where they have been taken before."""

from collections.abc import Sequence
from typing import Any

from alembic import op
from sqlalchemy import Column, MetaData, inspect


def create_missing(tables: MetaData) -> None:
    """Make the tables that are missing; add the columns that may be NULL and are missing."""
    connection = op.get_bind()
    tables.create_all(connection)
    for table in tables.sorted_tables:
        optional = [each for each in table.columns if each.nullable]
        add_missing(table.name, [Column(each.name, each.type) for each in optional])


def add_missing(table: str, columns: Sequence[Column[Any]]) -> None:
    """Add to a table those of ``columns`` that it lacks."""
    present = {column["name"] for column in inspect(op.get_bind()).get_columns(table)}
    for column in columns:
        if column.name not in present:
            op.add_column(table, column)
