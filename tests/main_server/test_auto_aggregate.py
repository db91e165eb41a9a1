"""An update comes, and by itself it becomes a version that goes out: each counts, and once."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from safetensors.numpy import load

from main_server import create_app
from main_server.settings import MainServerSettings
from shared.federated.aggregation.fedper import FedPer
from shared.web.locks import try_lock
from tests.federation import TASKS, Federation
from tests.server import wait_until

from .answering_device import AnsweringDevice
from .conftest import initial_weights
from .stores import STORES

_TASKS = """
[tasks.digits]
classes = ["0", "1"]
seed = 7
auto_aggregate = {}
min_updates = {}
"""


@pytest.fixture
def open_client(tmp_path: Path, database_url: str) -> Callable[..., FlaskClient]:
    """Another process of a main server that aggregates by itself, as it were."""

    def open_it(min_updates: int = 1, by_itself: str = "true") -> FlaskClient:
        tasks = tmp_path / "tasks.toml"
        tasks.write_text(_TASKS.format(by_itself, min_updates))
        settings = MainServerSettings(
            state_directory=tmp_path / "state",
            tasks_file=tasks,
            database_url=database_url,
            first_version_seconds=0,
        )
        return STORES.end_with_the_test(create_app(settings)).test_client()

    return open_it


@pytest.fixture
def make_devices() -> Iterator[Callable[[FlaskClient], list[AnsweringDevice]]]:
    made: list[AnsweringDevice] = []

    def make(client: FlaskClient) -> list[AnsweringDevice]:
        made.extend(AnsweringDevice(client, f"device{number}") for number in (1, 2))
        return made[-2:]

    yield make
    for each in made:
        each.close()


def distributed(client: FlaskClient, number: int = 1) -> dict[str, Any]:
    """A round, once its version is with the devices."""

    def look() -> Any:
        row = client.get(f"/rounds/{number}")
        return row.json if row.status_code == 200 and row.json["status"] == "distributed" else None

    found: dict[str, Any] = wait_until(look, 20)
    return found


def newest(client: FlaskClient) -> dict[str, Any]:
    return load(client.get("/models/latest", buffered=True).data)


def test_one_update_moves_the_model_by_its_share(
    open_client: Callable[..., FlaskClient],
    make_devices: Callable[[FlaskClient], list[AnsweringDevice]],
) -> None:
    """(a·server + b·device) / (a + b): what the other device has taught stays."""
    client = open_client()
    first, second = make_devices(client)
    second.num_samples = 30
    second.beat()
    first.train()
    assert first.send_trained().status_code == 200
    told = distributed(client)
    assert told["unchanged"] == {"device2": 30}
    assert told["updates"].keys() == {"device1"}
    assert told["steps"]["aggregate_models"][""]["result"]["unchanged"] == {"device2": 30}
    assert told["steps"]["send_model_clients"].keys() == {"device1", "device2"}
    assert told["evaluation"]["num_samples"] == 8
    for name, array in initial_weights().items():
        np.testing.assert_allclose(newest(client)[name], array + 10 / 40, rtol=1e-6)
    (job,) = client.get("/jobs").json["jobs"]
    assert (job["kind"], job["status"]) == ("auto_aggregate", "done")
    too_late = client.post("/aggregate_models")
    assert "aggregates by itself" in too_late.json["detail"]


def test_layers_that_stay_are_nothing_that_a_silent_device_counts_with(
    open_client: Callable[..., FlaskClient],
    make_devices: Callable[[FlaskClient], list[AnsweringDevice]],
) -> None:
    client = open_client()
    first, second = make_devices(client)
    second.num_samples = 30
    second.beat()
    chosen = {"strategy": "fedper", "parameters": {"layers": ["*/bias"]}}
    assert client.post("/strategy?task=digits", json=chosen).status_code == 200
    kernel = initial_weights()["head/kernel"]
    key = FedPer(layers=("*/bias",)).key
    sent = first.update({"head/kernel": kernel + 1}, strategy=key)
    assert first.send(sent).status_code == 200
    assert distributed(client)["unchanged"] == {"device2": 30}
    np.testing.assert_allclose(newest(client)["head/kernel"], kernel + 10 / 40, rtol=1e-6)
    np.testing.assert_array_equal(newest(client)["head/bias"], initial_weights()["head/bias"])


def test_with_all_updates_it_is_the_mean_of_them(
    open_client: Callable[..., FlaskClient],
    make_devices: Callable[[FlaskClient], list[AnsweringDevice]],
) -> None:
    client = open_client(min_updates=2)
    first, second = make_devices(client)
    second.adds = 4.0
    for device in (first, second):
        device.train()
    first.send_trained()
    time.sleep(0.5)
    assert client.get("/rounds/1").json["status"] == "open", "one is not enough"
    second.send_trained()
    assert distributed(client)["unchanged"] == {}
    for name, array in initial_weights().items():
        np.testing.assert_allclose(newest(client)[name], array + 2.5, rtol=1e-6)


@pytest.mark.one_database
def test_a_button_changes_nothing_about_how_it_counts(
    open_client: Callable[..., FlaskClient],
    make_devices: Callable[[FlaskClient], list[AnsweringDevice]],
) -> None:
    """Whole rounds make their versions themselves, of the updates alone."""
    client = open_client()
    devices = make_devices(client)
    assert len(client.post("/run_rounds", json={"rounds": 3}).json["rounds"]) == 3
    time.sleep(0.5)
    rows = client.get("/rounds").json["rounds"]
    assert [(row["version"], row["unchanged"], len(row["updates"])) for row in rows] == [
        (number, {}, 2) for number in (3, 2, 1)
    ]
    assert [job["kind"] for job in client.get("/jobs").json["jobs"]] == ["run_rounds"]
    assert all(device.asked.count("aggmodel") == 3 for device in devices)


def test_two_processes_count_each_update_once(
    open_client: Callable[..., FlaskClient],
    make_devices: Callable[[FlaskClient], list[AnsweringDevice]],
) -> None:
    client, other = open_client(), open_client()
    first, second = make_devices(client)
    second.client = other
    for _ in range(3):
        for device in (first, second):
            device.train()
        for device in (first, second):
            if device.send_trained().status_code == 409:  # the other's is a version already
                device.train()
                assert device.send_trained().status_code == 200
        wait_until(lambda: {row["status"] for row in rounds(client)} == {"distributed"}, 20)
    rows = rounds(client)
    assert sum(len(row["updates"]) for row in rows) == 6
    assert [row["version"] for row in rows] == list(range(len(rows), 0, -1))
    assert all(job["status"] == "done" for job in client.get("/jobs").json["jobs"])


def rounds(client: FlaskClient) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = client.get("/rounds").json["rounds"]
    return told


def test_it_goes_on_when_no_device_could_be_reached(
    open_client: Callable[..., FlaskClient],
    make_devices: Callable[[FlaskClient], list[AnsweringDevice]],
) -> None:
    client = open_client()
    first, second = make_devices(client)
    for device in (first, second):
        device.failing["aggmodel"] = ("broken", "The disk is full.")
    first.train()
    first.send_trained()
    wait_until(lambda: (jobs := client.get("/jobs").json["jobs"]) and jobs[0]["problem"], 20)
    assert client.get("/rounds/1").json["status"] == "aggregated"
    first.failing.clear()
    first.train()
    first.send_trained()
    assert distributed(client, 2)["version"] == 2


def failed_jobs(client: FlaskClient) -> int:
    return sum(bool(job["problem"]) for job in client.get("/jobs").json["jobs"])


def test_a_version_that_no_device_took_is_sent_again(
    open_client: Callable[..., FlaskClient],
    make_devices: Callable[[FlaskClient], list[AnsweringDevice]],
) -> None:
    """Nothing new comes, and nobody presses a button: it is tried again, not all the time."""
    client = open_client()
    first, second = make_devices(client)
    for device in (first, second):
        device.failing["aggmodel"] = ("broken", "The disk is full.")
    first.train()
    first.send_trained()
    wait_until(lambda: failed_jobs(client) == 2, 20)
    assert client.get("/rounds/1").json["status"] == "aggregated"
    for device in (first, second):
        device.failing.clear()
    assert distributed(client)["version"] == 1
    time.sleep(0.5)
    assert first.asked.count("aggmodel") <= 4
    assert failed_jobs(client) <= 3


@pytest.mark.one_database
def test_while_no_device_is_there_nothing_is_sent_again(
    open_client: Callable[..., FlaskClient],
    make_devices: Callable[[FlaskClient], list[AnsweringDevice]],
) -> None:
    client = open_client()
    first, second = make_devices(client)
    for device in (first, second):
        device.failing["aggmodel"] = ("broken", "The disk is full.")
        device.beat(problem="The disk is full.")
    first.train()
    first.send_trained()
    wait_until(lambda: failed_jobs(client) == 1, 20)
    time.sleep(2)
    assert failed_jobs(client) == 1
    for device in (first, second):
        device.failing.clear()
        device.beat()
    assert distributed(client)["version"] == 1


def test_an_aggregation_that_failed_is_tried_again(
    open_client: Callable[..., FlaskClient],
    make_devices: Callable[[FlaskClient], list[AnsweringDevice]],
    tmp_path: Path,
) -> None:
    client = open_client()
    first, _ = make_devices(client)
    first.train()
    lock = try_lock(tmp_path / "state" / "locks" / "digits.lock")
    assert lock is not None
    first.send_trained()
    (file,) = (tmp_path / "state" / "updates").rglob("*.safetensors")
    away = file.rename(tmp_path / "away")
    lock.release()
    wait_until(lambda: failed_jobs(client) == 1, 20)
    assert client.get("/rounds/1").json["status"] == "open"
    away.rename(file)
    assert distributed(client)["version"] == 1


@pytest.mark.parametrize("steps", [(), ("aggregate_models",)])
def test_what_a_killed_server_left_is_taken_up(
    open_client: Callable[..., FlaskClient],
    make_devices: Callable[[FlaskClient], list[AnsweringDevice]],
    steps: tuple[str, ...],
) -> None:
    """Updates that came, and a version that was made and did not go out."""
    client = open_client(by_itself="false")
    first, second = make_devices(client)
    for device in (first, second):
        device.train()
        device.send_trained()
    for step in steps:
        client.post(f"/{step}")
    assert client.get("/rounds/1").json["status"] in {"open", "aggregated"}
    again = open_client()
    assert distributed(again)["version"] == 1
    assert all(device.asked == ["aggmodel"] for device in (first, second))


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    federation = Federation(
        tmp_path_factory.mktemp("auto"), TASKS.rstrip() + "\n    auto_aggregate = true\n"
    )
    try:
        federation.write_pictures()
        federation.start()
        yield federation
    finally:
        federation.close()


def test_an_update_that_was_acknowledged_before_a_kill(federation: Federation) -> None:
    """The server is killed between the receipt and the aggregation: its next start does it."""
    lock = try_lock(federation.main.state / "locks" / "shades.lock")
    assert lock is not None
    device = federation.devices["device1"]
    device.do("/modeltrain")
    assert device.do("/sendmodel")["round"] == 1
    federation.main.kill()
    lock.release()
    assert [row["status"] for row in _after_start(federation)] == ["open"]
    (row,) = wait_until(lambda: _all_distributed(federation))
    assert (row["version"], list(row["updates"])) == (1, ["device1"])
    assert row["unchanged"].keys() == {"device2"}
    for name in federation.devices:
        federation.caught_up(name, version=1)


def _after_start(federation: Federation) -> list[dict[str, Any]]:
    lock = try_lock(federation.main.state / "locks" / "shades.lock")
    assert lock is not None
    federation.main.start()
    rows = federation.rounds()
    lock.release()
    return rows


def _all_distributed(federation: Federation) -> list[dict[str, Any]] | None:
    """The rounds, once they are; a device tells that it has a version before all have it."""
    if any(job["status"] == "running" for job in federation.main.get("/jobs")["jobs"]):
        return None
    rows = federation.rounds()
    return rows if {row["status"] for row in rows} == {"distributed"} else None


def test_two_devices_two_workers_and_updates_at_once(federation: Federation) -> None:
    """From pictures to new global statistics, without a call to the main server."""
    before = len(federation.rounds())
    jobs = {}
    for name, device in federation.devices.items():
        device.do("/modeltrain")
        jobs[name] = device.begin("/sendmodel")
    for name, device in federation.devices.items():
        if device.ended(jobs[name])["status"] != "done":  # the other's was a version already
            federation.caught_up(name)
            device.do("/modeltrain")
            device.do("/sendmodel")
    rows = wait_until(lambda: _all_distributed(federation))[before:]
    counted = [device for row in rows for device in row["updates"]]
    assert sorted(counted) == ["device1", "device2"]
    assert rows[-1]["evaluation"]["num_samples"] == 6 + 8
    jobs_of_main = federation.main.get("/jobs")["jobs"]
    assert {job["kind"] for job in jobs_of_main} == {"auto_aggregate"}
    assert len(jobs_of_main) == len(federation.rounds())


def test_a_round_waits_for_as_many_updates_as_its_strategy_needs(
    open_client: Callable[..., FlaskClient],
    make_devices: Callable[[FlaskClient], list[AnsweringDevice]],
) -> None:
    client = open_client()
    first, _ = make_devices(client)
    krum = {"strategy": "krum", "parameters": {"byzantine": 1}}
    assert client.post("/strategy?task=digits", json=krum).status_code == 200
    first.train()
    assert first.send_trained().status_code == 200
    time.sleep(2)  # a version would have been made within one
    assert client.get("/jobs").json["jobs"] == [], "nothing is tried that cannot be"
    page = client.get("/?task=digits", headers={"Accept": "text/html"}).text
    assert "needs 5 updates, 1 is here" in page
    # Chosen is another one that can do with what is here: it need not wait for an update.
    assert client.post("/strategy?task=digits", json={"strategy": "median"}).status_code == 200
    assert distributed(client)["strategy"] == "median"
