"""Rounds with an end: by deadline, by the first updates; late updates, rests, and selection."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from safetensors.numpy import load

from main_server.selection import ranking
from main_server.store.tables import DeviceTask
from tests.server import wait_until

from .answering_device import AnsweringDevice
from .conftest import ThinDevice, initial_weights
from .deadlines import open_server
from .page import look

pytestmark = pytest.mark.usefixtures("database_url")

Devices = Callable[[FlaskClient, int], list[AnsweringDevice]]


@pytest.fixture
def make_devices() -> Iterator[Devices]:
    made: list[AnsweringDevice] = []

    def make(client: FlaskClient, number: int) -> list[AnsweringDevice]:
        devices = [AnsweringDevice(client, f"device{index}") for index in range(1, number + 1)]
        made.extend(devices)
        return devices

    yield make
    for each in made:
        for event in each.held.values():
            event.set()
        each.close()


def row(client: FlaskClient, number: int = 1) -> dict[str, Any]:
    told: Any = client.get(f"/rounds/{number}").json
    return dict(told)


def distributed(client: FlaskClient, number: int = 1) -> dict[str, Any]:
    def look() -> Any:
        answer = client.get(f"/rounds/{number}")
        is_through = answer.status_code == 200 and answer.json["status"] == "distributed"
        return answer.json if is_through else None

    found: dict[str, Any] = wait_until(look, 30)
    return found


def of_version_0(device: AnsweringDevice) -> bytes:
    """An update that is late once there is another version: its weights are 3 more."""
    weights = {name: array + 3 for name, array in initial_weights().items()}
    return device.update(weights, base_version=0)


def in_task(client: FlaskClient, device: str) -> dict[str, Any]:
    rows = {each["name"]: each for each in client.get("/devices").json["devices"]}
    told: dict[str, Any] = rows[device]["tasks"]["digits"]
    return told


def test_at_its_deadline_a_round_is_made_of_what_is_here(
    tmp_path: Path, make_devices: Devices
) -> None:
    """By itself, without who was lost in the middle, once, and by one of two processes."""
    client = open_server(tmp_path, "deadline_seconds = 3")
    other = open_server(tmp_path, "deadline_seconds = 3")
    _, second = make_devices(client, 2)
    second.held["modeltrain"] = threading.Event()
    begun = time.time()
    answer = client.post("/modeltrain").json
    assert time.time() - begun < 30
    assert answer["devices"]["device1"]["num_samples"] == 10
    error = answer["devices"]["device2"]["error"]
    assert error["type"] == "urn:fedbell:problem:round-over"
    assert "modeltrain/cancel" in second.asked
    assert row(client)["status"] == "open"
    assert begun + 3 <= row(client)["deadline"] <= time.time() + 3
    assert client.post("/sendmodel?device=device1").status_code == 200
    told = distributed(other)
    assert told["updates"].keys() == {"device1"}
    assert told["unchanged"] == {}
    for name, array in initial_weights().items():
        made = load(client.get("/models/latest", buffered=True).data)[name]
        np.testing.assert_array_equal(made, array + 1)
    jobs = [job["kind"] for job in client.get("/jobs").json["jobs"]]
    assert jobs.count("auto_aggregate") == 1
    assert in_task(client, "device2")["failures"] == 1
    assert in_task(client, "device1")["failures"] == 0


@pytest.mark.one_database
def test_whole_rounds_go_on_without_who_is_lost(tmp_path: Path, make_devices: Devices) -> None:
    """Its deadline ends each round; whoever fails three times is rested, and tried again."""
    client = open_server(tmp_path, "deadline_seconds = 2\nrest_after = 2\nrest_rounds = 2")
    first, second = make_devices(client, 2)
    second.held["modeltrain"] = threading.Event()
    told = client.post("/run_rounds", json={"rounds": 4}).json["rounds"]
    assert [each["updates"] for each in told] == [1, 1, 1, 1]
    assert second.asked.count("modeltrain") == 2, "rested in rounds 3 and 4"
    assert first.asked.count("modeltrain") == 4
    rested = in_task(client, "device2")
    assert (rested["failures"], rested["rests_until"]) == (2, 5)
    log = client.get("/events.txt").text
    assert "device2 gave no update in 2 rounds in a row: it is rested until round 5" in log
    second.held.pop("modeltrain").set()
    (told,) = client.post("/run_rounds", json={"rounds": 1}).json["rounds"]
    assert (told["round"], told["updates"]) == (5, 2)
    assert in_task(client, "device2") | {"failures": 0, "rests_until": None} == in_task(
        client, "device2"
    )


@pytest.mark.one_database
def test_with_fewer_than_its_quorum_it_stays_open_until_that_is_here(
    tmp_path: Path, make_devices: Devices
) -> None:
    client = open_server(tmp_path, "deadline_seconds = 0.5", min_updates=2)
    first, second = make_devices(client, 2)
    first.train()
    assert first.send_trained().status_code == 200
    wait_until(lambda: row(client)["overdue"], 20)
    time.sleep(0.5)
    told = row(client)
    assert (told["status"], told["missing_updates"]) == ("open", 1)
    assert "1 more update" in client.get("/").text
    second.train()
    assert second.send_trained().status_code == 200
    assert distributed(client)["updates"].keys() == {"device1", "device2"}


def test_a_server_that_starts_again_keeps_the_deadline(
    tmp_path: Path, make_devices: Devices
) -> None:
    """Opened by one that did not look after it; another one finds it in the store."""
    client = open_server(tmp_path, "deadline_seconds = 1")
    client.application.extensions["fedbell"].auto_aggregate._is_due = lambda _: False
    (first,) = make_devices(client, 1)
    first.train()
    assert first.send_trained().status_code == 200
    time.sleep(1.5)
    assert row(client)["status"] == "open"
    distributed(open_server(tmp_path, "deadline_seconds = 1"))


def test_the_first_updates_count(tmp_path: Path, make_devices: Devices) -> None:
    client = open_server(tmp_path, "number = 2\nover_selection = 1")
    devices = make_devices(client, 3)
    devices[1].held["modeltrain"] = threading.Event()
    (told,) = client.post("/run_rounds", json={"rounds": 1}).json["rounds"]
    assert told["updates"] == 2
    made = row(client)
    assert (made["selected"], made["quorum"]) == (["device1", "device2", "device3"], 2)
    assert made["updates"].keys() == {"device1", "device3"}
    assert in_task(client, "device2")["failures"] == 0, "it is there, and was only slower"


@pytest.mark.parametrize(
    ("rounds", "extra"),
    [
        ("number = 1\nover_selection = 1", ""),
        ("number = 1\nover_selection = 1\ndeadline_seconds = 1000", ""),
        ("", "auto_aggregate = true"),
    ],
)
def test_what_one_process_received_and_left_another_one_ends(
    tmp_path: Path, make_devices: Devices, rounds: str, extra: str
) -> None:
    """The one that took the last update dies for good: it never looks at it."""
    dies = open_server(tmp_path, rounds, extra=extra, heartbeat_seconds=0.5)
    lives = open_server(tmp_path, rounds, extra=extra, heartbeat_seconds=0.5)
    dies.application.extensions["fedbell"].auto_aggregate._is_due = lambda _: False
    devices = make_devices(dies, 2)
    devices[0].train()
    assert devices[0].send_trained().status_code == 200
    assert row(lives)["num_updates"] == 1

    def is_through() -> bool:
        for device in devices:  # or they would count as lost
            device.beat()
        return bool(row(lives)["status"] == "distributed")

    wait_until(is_through, 60)
    assert [job["kind"] for job in lives.get("/jobs").json["jobs"]] == ["auto_aggregate"]


def test_who_is_asked_is_written_down_and_the_same_after_a_restart(
    tmp_path: Path, make_devices: Devices
) -> None:
    client = open_server(tmp_path, "number = 2")
    devices = make_devices(client, 4)
    for number in range(1, 5):
        assert client.post("/modeltrain").status_code == 200
        again = open_server(tmp_path, "number = 2")
        for step in ("sendmodel", "aggregate_models", "send_model_clients"):
            assert again.post(f"/{step}").status_code == 200, step
        told = row(client, number)
        assert sorted(told["updates"]) == told["selected"]
        assert len(told["selected"]) == 2
    chosen = [row(client, number)["selected"] for number in range(1, 5)]
    names = [device.name for device in devices]
    assert chosen == [sorted(ranking(names, 7, number)[:2]) for number in range(1, 5)]
    asked = sum(device.asked.count("modeltrain") for device in devices)
    assert asked == 8
    assert all(device.asked.count("aggmodel") == 4 for device in devices)


def test_who_is_not_asked_is_refused_and_told_so(tmp_path: Path, make_devices: Devices) -> None:
    client = open_server(tmp_path, "number = 1")
    devices = {device.name: device for device in make_devices(client, 2)}
    client.post("/modeltrain")
    (asked,) = row(client)["selected"]
    (name,) = devices.keys() - {asked}
    other = devices[name]
    other.train()
    refused = other.send_trained()
    assert (refused.status_code, refused.json["type"]) == (409, "urn:fedbell:problem:not-asked")
    told = {each: devices[each].beat().json["tasks"]["digits"]["round"] for each in devices}
    assert told == {
        asked: {"number": 1, "asked": True, "sent": False, "deadline": None},
        name: {"number": 1, "asked": False, "sent": False, "deadline": None},
    }
    assert f"Not asked in this round: {name}" in client.get("/").text
    assert client.post(f"/modeltrain?device={name}").status_code == 200
    assert row(client)["selected"] == ["device1", "device2"]
    assert other.send_trained().status_code == 200


def test_a_late_update_counts_less(tmp_path: Path, make_devices: Devices) -> None:
    """(10 · 1 + 10 · (1 + 1)^-1 · 3) / (10 + 5), from a device that was quick and one that was
    late."""
    rounds = 'late_updates = "merge"\nstaleness_exponent = 1.0'
    client = open_server(tmp_path, rounds)
    first, second = make_devices(client, 2)
    second.train()
    late = of_version_0(second)
    first.train()
    first.send_trained()
    client.post("/aggregate_models")
    client.post("/send_model_clients")
    assert second.send(late).status_code == 200
    first.adds = 0.0
    first.train()
    first.send_trained()
    told = row(client, 2)["updates"]
    assert (told["device2"]["base_version"], told["device2"]["weight"]) == (0, 0.5)
    assert (told["device1"]["base_version"], told["device1"]["weight"]) == (None, None)
    assert "counted with weight 0.50" in client.get("/").text
    assert client.post("/aggregate_models").status_code == 200
    made = load(client.get("/models/latest", buffered=True).data)
    for name, array in initial_weights().items():
        expected = ((array + 1) * 10 + (array + 3) * 5) / 15
        np.testing.assert_allclose(made[name], expected, rtol=1e-6)


MERGED = 'late_updates = "merge"\nstaleness_exponent = 1.0'


def late_by_one(
    tmp_path: Path, make_devices: Devices, rounds: str = MERGED
) -> tuple[FlaskClient, list[AnsweringDevice], bytes]:
    """device1's round 1 is over, round 2 is to come; device2 has something of version 0."""
    client = open_server(tmp_path, rounds)
    first, second = make_devices(client, 2)
    late = of_version_0(second)
    first.train()
    first.send_trained()
    client.post("/aggregate_models")
    client.post("/send_model_clients")
    return client, [first, second], late


def test_a_late_update_and_a_fresh_one_of_the_same_device_both_count(
    tmp_path: Path, make_devices: Devices
) -> None:
    """Whichever comes first, and however often: the same bits."""
    made = []
    for order in ("late first", "fresh first"):
        directory = tmp_path / order
        directory.mkdir()
        client, (_, second), late = late_by_one(directory, make_devices)
        fresh = second.update(
            {name: array + 5 for name, array in initial_weights().items()}, base_version=1
        )
        bodies = [late, fresh] if order == "late first" else [fresh, late]
        for body in (*bodies, *bodies):
            assert second.send(body).json["round"] == 2
        told = row(client, 2)
        assert told["num_updates"] == 2
        (former,) = told["updates"]["device2"]["further"]
        weights_told = [former["weight"], told["updates"]["device2"]["weight"]]
        assert weights_told == ([0.5, None] if order == "late first" else [None, 0.5])
        page = " ".join(look(client).one(id="round").text.split())
        assert "2 updates count, " in page, page
        assert "late (from version 0): counted with weight 0.50" in page
        assert client.post("/aggregate_models").json["num_samples"] == 20
        assert second.send(late).json["round"] == 2, "it has counted"
        made.append(client.get("/models/latest", buffered=True).data)
    weights = [load(each) for each in made]
    for name, array in initial_weights().items():
        expected = ((array + 5) * 10 + (array + 3) * 5) / 15
        np.testing.assert_allclose(weights[0][name], expected, rtol=1e-6)
        np.testing.assert_array_equal(weights[0][name], weights[1][name])


def test_two_late_ones_of_different_versions_count_and_of_one_version_the_newest(
    tmp_path: Path, make_devices: Devices
) -> None:
    client, (first, second), late = late_by_one(tmp_path, make_devices)
    first.train()
    first.send_trained()
    client.post("/aggregate_models")
    client.post("/send_model_clients")
    other = second.update(
        {name: array + 4 for name, array in initial_weights().items()}, base_version=0
    )
    later = second.update(
        {name: array + 5 for name, array in initial_weights().items()}, base_version=1
    )
    for body in (late, later, other):
        assert second.send(body).status_code == 200
    told = row(client, 3)
    assert told["num_updates"] == 2
    assert told["missing_updates"] == 0
    assert client.post("/aggregate_models").status_code == 200
    made = load(client.get("/models/latest", buffered=True).data)
    for name, array in initial_weights().items():
        expected = ((array + 4) / 3 + (array + 5) / 2) / (1 / 3 + 1 / 2)
        np.testing.assert_allclose(made[name], expected, rtol=1e-6)


def test_two_updates_of_one_device_are_no_quorum(tmp_path: Path, make_devices: Devices) -> None:
    """min_updates asks for so many devices; the round is full with so many, too."""
    rounds = f"{MERGED}\nnumber = 2"
    client = open_server(tmp_path, rounds, min_updates=2)
    first, second = make_devices(client, 2)
    for each in (first, second):
        each.train()
    late = second.update(
        {name: array + 3 for name, array in initial_weights().items()}, base_version=0
    )
    for each in (first, second):
        each.send_trained()
    client.post("/aggregate_models")
    client.post("/send_model_clients")
    second.train()
    assert second.send(late).status_code == 200
    assert second.send_trained().status_code == 200
    assert row(client, 2)["missing_updates"] == 1
    refused = client.post("/aggregate_models")
    assert refused.json["missing"] == ["device1"]
    first.train()
    assert first.send_trained().status_code == 200, "there is a place for a second device"
    assert client.post("/aggregate_models").json["updates"] == 3


def test_what_a_promotion_took_back_stays_away(tmp_path: Path, make_devices: Devices) -> None:
    """As in asynchronous tasks: what was learned before does not come in again."""
    client, (first, second), late = late_by_one(tmp_path, make_devices)
    assert client.post("/models/0/promote").json["version"] == 2
    refused = second.send(late)
    assert (refused.status_code, refused.json["type"]) == (409, "urn:fedbell:problem:stale-update")
    assert "version 2 was promoted since" in refused.json["detail"]
    assert refused.json["base_version"] == 2
    first.train()
    fresh = second.update(base_version=2)
    assert first.send_trained().status_code == 200
    client.post("/aggregate_models")
    client.post("/send_model_clients")
    assert second.send(fresh).status_code == 200, "late, and of what was promoted"


@pytest.mark.one_database
def test_somebody_wakes_a_device(tmp_path: Path, make_devices: Devices) -> None:
    client = open_server(tmp_path, "rest_after = 1\nrest_rounds = 5")
    _, second = make_devices(client, 2)
    second.failing["modeltrain"] = ("broken", "The lens is broken.")
    client.post("/run_rounds", json={"rounds": 2})
    assert second.asked.count("modeltrain") == 1
    page = client.get("/").text
    assert "rested until round 7" in page
    assert "Wake device2" in page
    answer = client.post("/modeltrain?device=device2")
    assert answer.status_code == 502, "asked by name it is asked all the same"
    assert client.post("/devices/nobody/wake").status_code == 404
    assert client.post("/devices/device2/wake").json == {"device": "device2", "woken": ["digits"]}
    assert client.post("/devices/device2/wake").json["woken"] == []
    second.failing.clear()
    assert client.post("/run_rounds", json={"rounds": 1}).json["rounds"][0]["updates"] == 2


@pytest.mark.one_database
def test_when_all_are_rested_they_are_asked(tmp_path: Path, make_devices: Devices) -> None:
    client = open_server(tmp_path, "rest_after = 1\nrest_rounds = 100", min_updates=2)
    _, second = make_devices(client, 2)
    client.post("/run_rounds", json={"rounds": 1})
    third = make_devices(client, 3)[2]
    third.failing["modeltrain"] = ("broken", "The lens is broken.")
    client.post("/run_rounds", json={"rounds": 1})
    assert in_task(client, "device3")["rests_until"] == 103
    second.beat(problem="Clean the lens.")
    third.failing.clear()
    assert client.post("/run_rounds", json={"rounds": 1}).json["rounds"][0]["updates"] >= 2


def test_devices_that_come_by_themselves(tmp_path: Path) -> None:
    """No device can be called: nothing is asked, and the round is made of what comes."""
    client = open_server(tmp_path, "deadline_seconds = 60", min_updates=2)
    devices = [ThinDevice(client, name) for name in ("alice", "bob")]
    for device in devices:
        told = device.status(url=None).json["tasks"]["digits"]["round"]
        has_version = client.get("/models").json["versions"] != []
        assert told == {
            "number": 1,
            "asked": True,
            "sent": False,
            "deadline": row(client)["deadline"] if has_version else None,
        }
        device.offer()
    refused = client.post("/modeltrain")
    assert refused.status_code == 409
    assert "come by themselves" in refused.json["detail"]
    for device in devices:
        assert device.send().status_code == 200
    told = devices[0].status(url=None).json["tasks"]["digits"]["round"]
    assert told["deadline"] == row(client)["deadline"]
    assert told["sent"] is True
    assert "come by themselves" in client.get("/").text
    assert client.post("/aggregate_models").status_code == 200
    assert client.post("/send_model_clients").json["devices"] == {}
    devices[0].status(url=None, tasks={"digits": {"num_samples": 10, "version": 1}})
    assert row(client)["status"] == "distributed"


def test_late_updates_take_no_place_from_who_is_asked(
    tmp_path: Path, make_devices: Devices
) -> None:
    rounds = f"number = 1\nover_selection = 1\n{MERGED}"
    client = open_server(tmp_path, rounds)
    first, second = make_devices(client, 2)
    late = of_version_0(second)
    first.train()
    first.send_trained()
    distributed(client)
    assert second.send(late).json["round"] == 2
    time.sleep(0.5)
    assert row(client, 2)["status"] == "open"  # nobody has sent what this round asks for
    first.train()
    assert first.send_trained().status_code == 200
    told = distributed(client, 2)
    assert told["num_updates"] == 2
    assert told["updates"]["device2"]["weight"] == 0.5


def test_what_was_refused_and_who_rests_is_told(tmp_path: Path, make_devices: Devices) -> None:
    client, (_, second), late = late_by_one(tmp_path, make_devices, 'late_updates = "drop"')
    answer = second.send(late)
    assert (answer.status_code, answer.json["type"]) == (409, "urn:fedbell:problem:stale-update")
    (refused,) = client.get("/rounds/1").json["refused"]
    assert refused["device"] == "device2"
    assert "The update starts from version 0" in refused["detail"]
    assert "refused" not in client.get("/rounds").json["rounds"][0]
    assert "update starts from another version" in client.get("/events.txt").text

    database = client.application.extensions["fedbell"].database
    with database.write() as session:
        session.get_one(DeviceTask, ("device2", "digits")).rests_until = 4
    second.train()
    second.send_trained()
    assert row(client, 2)["resting"] == {"device2": 4}
    assert client.get("/rounds/2").json["refused"] == []
