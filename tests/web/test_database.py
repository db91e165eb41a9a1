"""A store that an earlier Fedbell made opens in this one."""

from pathlib import Path

from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.web.database import Database


class Tables(DeclarativeBase):
    pass


class Note(Tables):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    author: Mapped[str | None]
    stars: Mapped[float | None]


def test_columns_that_an_earlier_store_lacks_are_added(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'notes.db'}"
    earlier = create_engine(url)
    with earlier.begin() as connection:
        connection.execute(text("CREATE TABLE notes (id INTEGER PRIMARY KEY, text VARCHAR)"))
        connection.execute(text("INSERT INTO notes (text) VALUES ('kept')"))
    earlier.dispose()
    for _ in range(2):  # the second time there is nothing to add
        database = Database(url, Tables.metadata)
        with database.read() as session:
            (note,) = session.scalars(select(Note))
        assert (note.text, note.author, note.stars) == ("kept", None, None)
        database.close()
