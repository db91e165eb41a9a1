"""Types of columns that mean the same in SQLite and in PostgreSQL."""

from typing import Any

from sqlalchemy import BigInteger, Integer, String
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class _Text(TypeDecorator[str]):
    """Text in order of its characters' numbers, whatever language the database was made for.

    Sums are made in order of the devices' names, so this order decides bits. A NUL, which
    PostgreSQL cannot keep, becomes the sign for a character that cannot be shown.
    """

    impl = String(collation="C")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value.replace("\0", "\ufffd") if value else value


class _Whole(TypeDecorator[int]):
    """A whole number of 64 bits. PostgreSQL's sum of such is a decimal, and is made whole again."""

    impl = BigInteger
    cache_ok = True

    def process_result_value(self, value: Any | None, dialect: Dialect) -> int | None:
        return None if value is None else int(value)


TEXT = String().with_variant(_Text(), "postgresql")
WHOLE = Integer().with_variant(_Whole(), "postgresql")
