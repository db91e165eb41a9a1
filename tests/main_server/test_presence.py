"""Which devices are there when a round chooses: also for a server that has just been started."""

import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from main_server.auto_aggregate import ends_by_itself, is_due
from main_server.store.candidates import Presence, candidates
from main_server.store.tables import ReceivedUpdate, Round
from shared.federated.task import Task
from shared.web.database import Database

from .conftest import ThinDevice
from .deadlines import open_server

NOW = time.time()


@pytest.fixture
def client(tmp_path: Path, database_url: str) -> FlaskClient:
    return open_server(tmp_path, "number = 1", heartbeat_seconds=5, database_url=database_url)


def ready(database: Database, seen_since: float) -> list[str]:
    with database.read() as session:
        return [name for name, each in candidates(session, "digits", seen_since).items() if each[0]]


def test_who_was_there_before_a_restart_is_there(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is away for an hour; device1 had been lost before that already."""
    database = client.application.extensions["fedbell"].database
    moments = {"device1": 0.0, "device2": 50.0, "device3": 60.0}
    for name, moment in moments.items():
        monkeypatch.setattr("time.time", lambda moment=moment: NOW + moment)
        ThinDevice(client, name).status()
    monkeypatch.setattr("time.time", lambda: NOW + 3600)
    presence = Presence(database, lost_after_seconds=15)
    assert ready(database, presence.since()) == ["device2", "device3"]
    ThinDevice(client, "device3").status()
    assert ready(database, presence.since()) == ["device2", "device3"]
    monkeypatch.setattr("time.time", lambda: NOW + 3616)
    assert ready(database, presence.since()) == [], "device3 was seen 16 s ago"
    ThinDevice(client, "device1").status()
    assert ready(database, presence.since()) == ["device1"]


@pytest.mark.parametrize("restarts", [(), (3602,), (3602, 3604, 3612, 3620)])
def test_quick_restarts_change_nothing(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, restarts: tuple[float, ...]
) -> None:
    """The server is away for an hour; then some devices are heard between one kill and the next."""
    database = client.application.extensions["fedbell"].database
    moments = {"device1": 0.0, "device2": 50.0, "device3": 60.0}
    for name, moment in moments.items():
        monkeypatch.setattr("time.time", lambda moment=moment: NOW + moment)
        ThinDevice(client, name).status()
    for started in (3600, *restarts):
        monkeypatch.setattr("time.time", lambda started=started: NOW + started)
        presence = Presence(database, lost_after_seconds=15)
        assert ready(database, presence.since()) == ["device2", "device3"]
        monkeypatch.setattr("time.time", lambda started=started: NOW + started + 1)
        ThinDevice(client, "device3").status()
        assert ready(database, presence.since()) == ["device2", "device3"]


def test_one_that_has_listened_long_enough_knows_who_is_lost(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also beside another one, which starts later: it does not count the lost ones again."""
    database = client.application.extensions["fedbell"].database
    for name, moment in {"device1": 60.0, "device2": 90.0}.items():
        monkeypatch.setattr("time.time", lambda moment=moment: NOW + moment)
        ThinDevice(client, name).status()
    for _ in range(3):
        assert ready(database, Presence(database, lost_after_seconds=15).since()) == ["device2"]


def test_who_has_a_problem_or_no_picture_is_not_chosen(client: FlaskClient) -> None:
    database = client.application.extensions["fedbell"].database
    told: dict[str, dict[str, Any]] = {
        "device1": {"num_samples": 10, "problem": "Clean the lens."},
        "device2": {"num_samples": 0},
        "device3": {"num_samples": 10},
    }
    for name, tasks in told.items():
        ThinDevice(client, name).status(tasks={"digits": tasks})
    assert ready(database, 0.0) == ["device3"]


def task(**told: Any) -> Task:
    return Task(name="digits", classes=("0", "1"), min_updates=2, **told)


def row(status: str, updates: int, **told: Any) -> Round:
    sent = [ReceivedUpdate(device=f"device{number}") for number in range(updates)]
    return Round(status=status, updates=sent, **{"deadline": None, "quorum": None} | told)


PAST, FUTURE = NOW - 5, NOW + 3600
WITH_DEADLINE = {"rounds": {"deadline_seconds": 60}}
FIRST_COME = {"rounds": {"number": 2, "over_selection": 1}}


@pytest.mark.parametrize(
    ("settings", "newest", "due"),
    [
        ({}, row("open", 5), False),
        ({"auto_aggregate": True}, row("open", 2), True),
        ({"auto_aggregate": True}, row("open", 1), False),
        ({"mode": "async"}, row("open", 2), False),
        (WITH_DEADLINE, row("open", 2, deadline=FUTURE), False),
        (WITH_DEADLINE, row("open", 2, deadline=PAST), True),
        (WITH_DEADLINE, row("open", 1, deadline=PAST), False),
        (WITH_DEADLINE, row("aggregated", 2, deadline=FUTURE), False),
        (WITH_DEADLINE, row("aggregated", 2, deadline=PAST), True),
        (WITH_DEADLINE, row("distributed", 2, deadline=PAST), False),
        (WITH_DEADLINE, None, False),
        (FIRST_COME, row("open", 2, quorum=2), True),
        (FIRST_COME, row("open", 1, quorum=2), False),
        ({"rounds": {"number": 2}}, row("open", 2, quorum=2), False),
    ],
)
def test_when_a_round_ends_by_itself(
    settings: dict[str, Any], newest: Round | None, due: bool
) -> None:
    assert is_due(task(**settings), newest) is due
    assert not due or ends_by_itself(task(**settings))
