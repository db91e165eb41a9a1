"""Under a store of an earlier commit, the main server goes on where that one was."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from main_server import create_app
from main_server.settings import MainServerSettings
from main_server.store.moving import move_store
from main_server.store.opening import sqlite_url
from shared.errors import ConfigurationError
from tests.main_server.conftest import TASKS, ThinDevice, initial_weights

from .opening import EARLIER, HERE, write


@pytest.fixture(params=EARLIER)
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The state directory of a main server of an earlier commit, in the middle of round 3."""
    state = tmp_path / "state"
    shutil.copytree(HERE / request.param, state, ignore=shutil.ignore_patterns("*.sql"))
    write(request.param, "main_server", state / "main_server.db")
    return state


def go_on(state: Path, **settings: Any) -> None:
    tasks = state.parent / "tasks.toml"
    tasks.write_text(TASKS)
    app = create_app(
        MainServerSettings(
            state_directory=state, tasks_file=tasks, first_version_seconds=0, **settings
        )
    )
    client = app.test_client()
    first, second = ThinDevice(client, "device1"), ThinDevice(client, "device2")
    rounds = client.get("/rounds").json["rounds"]
    assert (rounds[0]["number"], rounds[0]["status"]) == (3, "open")
    assert set(rounds[0]["updates"]) == {"device1"}, "it was acknowledged by the earlier one"
    assert [row["number"] for row in rounds] == [3, 2, 1]
    assert {row["name"] for row in client.get("/devices").json["devices"]} == {"device1", "device2"}
    assert client.get("/jobs").status_code == 200
    assert "round 3 from version 2" in client.get("/events.txt", buffered=True).text
    events = client.get("/events.txt", buffered=True).text.count("\n")
    for page in ("/", "/weights?version=2", "/compare"):
        assert client.get(page, headers={"Accept": "text/html"}).status_code == 200, page
    for device in (first, second):  # with the tokens of before
        assert device.status().status_code == 200
    weights = {name: array + 5 for name, array in initial_weights().items()}
    assert second.send(second.update(weights, base_version=2)).status_code == 200
    assert client.post("/aggregate_models").json["version"] == 3
    assert len(client.get("/rounds/3").json["updates"]) == 2
    assert client.get("/events.txt", buffered=True).text.count("\n") > events
    for version in range(4):
        assert client.get(f"/models/{version}", buffered=True).status_code == 200
    assert first.send(first.update(weights, base_version=3)).status_code == 200
    assert client.get("/rounds?limit=1").json["rounds"][0]["number"] == 4
    app.extensions["fedbell"].database.close()


def test_a_round_of_an_earlier_fedbell_goes_on(state: Path) -> None:
    go_on(state)


def test_it_goes_on_in_postgresql_too(state: Path, empty_postgresql: str) -> None:
    assert move_store(sqlite_url(state), empty_postgresql) > 30
    with pytest.raises(ConfigurationError, match="nothing was copied"):
        move_store(sqlite_url(state), empty_postgresql)
    (state / "main_server.db").unlink()
    go_on(state, database_url=empty_postgresql)
