"""The log of events does not grow without end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from shared.errors import ConfigurationError
from shared.web import retention
from shared.web.database import Database
from shared.web.events import Event, EventTables, newest_events, record
from shared.web.retention import Retention
from shared.web.settings import ServerSettings


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'events.db'}", EventTables.metadata)
    yield made
    made.close()


def _write(database: Database, number: int) -> None:
    with database.write(durable=False) as session:
        for index in range(number):
            record(session, "test", f"event {index}")


def test_routine_displaces_no_action(database: Database) -> None:
    kept = Retention(database, keep=1_000)
    with database.write(durable=False) as session:
        for index in range(10):
            record(session, "log_in", f"log-in {index}")
    for _ in range(3):
        with database.write(durable=False) as session:
            for _ in range(2_000):
                record(session, "update_received", "an update")
            record(session, "token_revoked", "a token")
        assert kept.prune() > 0
    with database.read() as session:
        kinds = dict(session.execute(select(Event.kind, func.count()).group_by(Event.kind)).all())
    assert kinds == {"log_in": 10, "token_revoked": 3, "update_received": 1_000}
    assert kept.prune() == 0


def test_actions_have_an_end_too(database: Database) -> None:
    with database.write(durable=False) as session:
        for _ in range(1_000):
            record(session, "version_made", "a version")
    _write(database, 3_000)
    assert Retention(database, keep=1_000).prune() == 2_000
    assert _count(database) == 2_000


def _count(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count(Event.id))) or 0


def test_the_newest_are_kept(database: Database) -> None:
    kept = Retention(database, keep=6_000)
    assert kept.prune() == 0
    _write(database, 6_500)
    assert kept.prune() == 0  # a tenth more: not a row for each that comes
    _write(database, 5_500)
    assert kept.prune() == 6_000
    assert _count(database) == 6_000
    newest = newest_events(database, limit=1)[0]
    assert newest.id == 12_000
    assert kept.prune() == 0
    _write(database, 1)
    assert newest_events(database, limit=1)[0].id == 12_001


def test_calls_see_to_it_but_not_each(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Flask(__name__)
    app.add_url_rule("/", "index", lambda: "here")
    retention.init_app(app, database, keep=1000)
    _write(database, 2000)
    client = app.test_client()
    assert client.get("/").status_code == 200
    assert _count(database) == 1000
    _write(database, 2000)
    client.get("/")
    assert _count(database) == 3000  # within the same minute
    monkeypatch.setattr("time.monotonic", lambda: 1e9)
    client.get("/")
    assert _count(database) == 1000


def test_a_store_that_cannot_be_written_to_harms_no_call(database: Database) -> None:
    app = Flask(__name__)
    app.add_url_rule("/", "index", lambda: "here")
    retention.init_app(app, database, keep=1000)
    with database.write() as session:
        session.connection().exec_driver_sql("DROP TABLE events")
    assert app.test_client().get("/").text == "here"


def test_too_few_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEP_EVENTS", "10")
    with pytest.raises(ConfigurationError, match="keep_events"):
        ServerSettings.load(state_directory=tmp_path)
