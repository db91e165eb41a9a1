"""Under a store of an earlier commit, the main server goes on where that one was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from main_server import create_app
from main_server.settings import MainServerSettings
from main_server.store.moving import move_store
from main_server.store.opening import open_store, sqlite_url
from shared.errors import ConfigurationError
from tests.main_server.asynchronous import kernel, last_round, newest, push
from tests.main_server.conftest import TASKS, ThinDevice, initial_weights

from .on_postgresql import REVISIONS, rows_there, write_there
from .opening import EARLIER, HERE, copy_main_server


@pytest.fixture(params=EARLIER)
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The state directory of a main server of an earlier commit, in the middle of round 3."""
    return copy_main_server(request.param, tmp_path / "state")


def open_client(state: Path, tasks: str, **settings: Any) -> FlaskClient:
    """Of a main server of this Fedbell, with these tasks."""
    file = state.parent / "tasks.toml"
    file.write_text(tasks)
    return create_app(
        MainServerSettings(
            state_directory=state, tasks_file=file, first_version_seconds=0, **settings
        )
    ).test_client()


def close(client: FlaskClient) -> None:
    client.application.extensions["fedbell"].database.close()


def go_on(state: Path, **settings: Any) -> None:
    client = open_client(state, TASKS, **settings)
    first, second = ThinDevice(client, "device1"), ThinDevice(client, "device2")
    rounds = client.get("/rounds").json["rounds"]
    assert (rounds[0]["number"], rounds[0]["status"]) == (3, "open")
    assert set(rounds[0]["updates"]) == {"device1"}, "it was acknowledged by the earlier one"
    assert [row["number"] for row in rounds] == [3, 2, 1]
    assert {row["name"] for row in client.get("/devices").json["devices"]} >= {"device1", "device2"}
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
    close(client)


def test_a_round_of_an_earlier_fedbell_goes_on(state: Path) -> None:
    go_on(state)


def test_a_round_of_an_earlier_fedbell_ends_by_its_strategy(state: Path) -> None:
    client = open_client(state, TASKS.replace("seed = 7", 'strategy = "fednova"'))
    told = client.get("/strategies").get_json()
    assert (told["in_use"]["strategy"], told["following"]["strategy"]) == ("fedavg", "fednova")
    assert client.post("/aggregate_models").get_json()["strategy"] == "fedavg"
    rows = client.get("/rounds").get_json()["rounds"]
    assert [row["parameters"] for row in rows] == [{}, None, None], "earlier ones noted none"
    told = client.get("/strategies").get_json()
    assert (told["in_use"]["strategy"], told["following"]) == ("fednova", None)
    close(client)


def test_it_goes_on_in_postgresql_too(state: Path, empty_postgresql: str) -> None:
    assert move_store(sqlite_url(state), empty_postgresql) > 30
    with pytest.raises(ConfigurationError, match="nothing was copied"):
        move_store(sqlite_url(state), empty_postgresql)
    (state / "main_server.db").unlink()
    go_on(state, database_url=empty_postgresql)


@pytest.mark.parametrize("commit", REVISIONS)
def test_what_lay_in_postgresql_is_migrated_there_and_goes_on(
    commit: str, tmp_path: Path, empty_postgresql: str
) -> None:
    before = write_there(commit, empty_postgresql, tmp_path)
    earlier_revision = [{"version_num": REVISIONS[commit]}]
    assert rows_there(empty_postgresql)["alembic_version"] == earlier_revision
    open_store(empty_postgresql).close()
    after = rows_there(empty_postgresql)
    for table, earlier in before.items():
        assert len(after[table]) == len(earlier) > 0
        for row in earlier:
            assert any(kept.items() >= row.items() for kept in after[table]), row
    state = copy_main_server(commit, tmp_path / "state")
    (state / "main_server.db").unlink()
    go_on(state, database_url=empty_postgresql)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_asynchronous_tasks_go_on(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    """Of a1c1c8e: a running average, a buffer with two of three updates, and a revoked device."""
    commit, url = "a1c1c8e", ""
    if database == "postgresql":
        url = request.getfixturevalue("empty_postgresql")
        write_there(commit, url, tmp_path)
    state = copy_main_server(commit, tmp_path / "state")
    tasks = (HERE / commit / "tasks.toml").read_text(encoding="utf-8")
    client = open_client(state, tasks, database_url=url)

    average = ThinDevice(client, "device1", "average")
    assert (newest(average), kernel(average)) == (2, [5.0] * 6)
    push(average, 7.0, base=2, samples=40)
    assert kernel(average) == [6.0] * 6, "(40 * 5 + 40 * 7) / 80: it knows how many led to 5"

    first, second = (ThinDevice(client, name, "buffered") for name in ("device1", "device2"))
    assert (newest(first), last_round(first)["num_updates"]) == (1, 2)
    (waiting,) = (state / "updates/buffered/2").glob("device1-*")
    assert first.send(waiting.read_bytes()).json["round"] == 2, "acknowledged, as then"
    assert last_round(first)["num_updates"] == 2
    push(second, 18.0, base=1, sequence=2)
    assert newest(first) == 2
    np.testing.assert_allclose(kernel(first), [15.0] * 6, rtol=1e-6)  # of 12, 15 and 18

    assert ThinDevice(client, "device3").status().status_code == 401
    close(client)
