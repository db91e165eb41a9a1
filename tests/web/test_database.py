"""What a store promises, whichever database keeps it."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import JSON, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.errors import ConfigurationError
from shared.web.column_types import TEXT, WHOLE
from shared.web.database import Database, DatabaseAway
from shared.web.events import Event, EventTables, newest_events, record
from tests.postgresql import PASSWORD, PostgreSQL
from tests.server import free_port


class Tables(DeclarativeBase):
    type_annotation_map = {str: TEXT, int: WHOLE}  # noqa: RUF012


class Note(Tables):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    stars: Mapped[int | None]
    about: Mapped[dict[str, int] | None] = mapped_column(JSON(none_as_null=True))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    with request.getfixturevalue("postgresql").database() as url:
        yield url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url, Tables.metadata, EventTables.metadata)
    yield database
    database.close()


def add(database: Database, said: str, **more: object) -> None:
    with database.write() as session:
        session.add(Note(text=said, **more))


def notes(database: Database) -> list[str]:
    with database.read() as session:
        return [*session.scalars(select(Note.text).order_by(Note.text))]


def test_a_reader_sees_one_moment(database: Database) -> None:
    add(database, "before")
    with database.read() as session:
        assert len([*session.scalars(select(Note))]) == 1
        add(database, "meanwhile")
        assert len([*session.scalars(select(Note))]) == 1
    assert notes(database) == ["before", "meanwhile"]


def test_what_fails_changes_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as session:
            session.add(Note(text="never"))
            session.flush()
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fail()
    assert notes(database) == []


def test_writers_take_turns_from_their_start_on(database: Database) -> None:
    """Else two that read the same number would both write its successor."""
    with database.write() as session:
        session.add(Note(text="count", stars=0))

    def count() -> None:
        for durable in (True, False) * 10:
            with database.write(durable) as session:
                note = session.scalars(select(Note)).one()
                note.stars = (note.stars or 0) + 1

    threads = [threading.Thread(target=count) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    with database.read() as session:
        assert session.scalars(select(Note.stars)).one() == 120


def test_events_are_seen_in_the_order_of_their_numbers(database: Database) -> None:
    """Else a page that knows number 7 would never ask for number 6, which came later."""
    done = threading.Event()

    def write() -> None:
        for _ in range(30):
            with database.write(durable=False) as session:
                record(session, "test", "something happened")

    def read() -> None:
        newest = 0
        while not (done.is_set() and newest == 120):
            with database.read() as session:
                found = [*session.scalars(select(Event.id).where(Event.id > newest))]
            if found:
                assert sorted(found) == list(range(newest + 1, newest + 1 + len(found)))
                newest = max(found)
        seen.append(newest)

    seen: list[int] = []
    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write) for _ in range(4)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join(100)
    done.set()
    reader.join(30)
    assert seen == [120]


def test_names_are_in_order_of_their_characters(database: Database) -> None:
    """People sort a before B; the order of sums must not depend on the database's language."""
    for each in ("b", "A", "a-1", "a1", "B", "a 2"):
        add(database, each)
    assert notes(database) == sorted(["b", "A", "a-1", "a1", "B", "a 2"])


def test_values_come_back_as_they_were(database: Database) -> None:
    add(database, "große Zahl", stars=2**40, about=None)
    add(database, "more", stars=2**40, about={"a": 1})
    with database.read() as session:
        total = session.scalar(text("SELECT count(*) FROM notes WHERE about IS NULL"))
        rows = [*session.scalars(select(Note).order_by(Note.id))]
    assert total == 1
    assert [(row.stars, row.about) for row in rows] == [(2**40, None), (2**40, {"a": 1})]


def test_a_character_that_postgresql_cannot_keep(empty_postgresql: str) -> None:
    database = Database(empty_postgresql, Tables.metadata)
    add(database, "a\0b")
    assert notes(database) == ["a\ufffdb"]
    database.close()


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("mysql://root@host/name", "begins with mysql://"),
        ("nonsense", "no address of the form postgresql"),
        ("sqlite://", "begins with sqlite://"),
    ],
)
def test_an_address_that_is_none(address: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Database(address)


def test_a_database_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.web.database._WAIT_AT_START_SECONDS", 0.1)
    port = free_port()
    with pytest.raises(ConfigurationError) as error:
        Database(f"postgresql://fedbell:{PASSWORD}@127.0.0.1:{port}/fedbell")
    assert f"127.0.0.1:{port}/fedbell does not answer" in error.value.detail
    assert "onnection refused" in error.value.detail
    assert PASSWORD not in error.value.detail


def test_a_wrong_password(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.web.database._WAIT_AT_START_SECONDS", 0.1)
    with pytest.raises(ConfigurationError, match="password authentication failed"):
        Database(postgresql.url("postgres").replace(PASSWORD, "wrong"))


@pytest.fixture
def own_postgresql(postgresql: PostgreSQL) -> Iterator[PostgreSQL]:
    """One that a test may stop: nobody else uses it meanwhile, and it is started again."""
    yield postgresql
    postgresql.start_again()


def test_a_database_that_goes_and_comes_back(
    own_postgresql: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    def cut_off(database: Database) -> None:
        with database.write() as session:
            session.add(Note(text="cut off"))
            session.flush()
            own_postgresql.stop()
            own_postgresql.start()

    with own_postgresql.database() as url:
        database = Database(url, Tables.metadata, EventTables.metadata)
        add(database, "before")
        own_postgresql.stop()
        tries: list[Callable[[], object]] = [lambda: notes(database), lambda: add(database, "no")]
        for each in tries:
            with pytest.raises(DatabaseAway, match="the log says why"):
                each()
        assert PASSWORD not in caplog.text
        own_postgresql.start()
        assert notes(database) == ["before"], "at once: connections that broke are not used again"
        with pytest.raises(DatabaseAway):
            cut_off(database)
        add(database, "after")
        assert notes(database) == ["after", "before"]
        database.close()


def test_whoever_stops_in_its_turn_does_not_stop_the_others(
    empty_postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that hangs in the middle, or whose machine is gone without a word."""
    monkeypatch.setattr("shared.web.engines._IDLE_TIMEOUT_MILLISECONDS", 500)
    hangs, other = (Database(empty_postgresql, EventTables.metadata) for _ in range(2))

    def hang() -> None:
        with hangs.write() as session:
            record(session, "test", "never")
            session.flush()
            with other.write() as second:  # waits until the database has cut off the first
                record(second, "test", "its turn")

    with pytest.raises(DatabaseAway):
        hang()
    assert [event.message for event in newest_events(other, 5)] == ["its turn"]
    for database in (hangs, other):
        database.close()
