"""A device with a schedule whose main server is away, or went back to a backup."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from shared.device.remote import RemoteProblem
from shared.device.settings import DeviceSettings
from shared.federated.policies import AsynchronousSettings
from shared.federated.task import Task
from tests.device.client.fakes import away
from tests.device.schedule_house import PICTURES, ScheduleHouse, without_pauses

Make = Callable[..., ScheduleHouse]
NOTHING = {"w": np.zeros(2, np.float32)}


@pytest.fixture
def make_house(
    tmp_path: Path,
    make_settings: Callable[..., DeviceSettings],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Make]:
    without_pauses(monkeypatch)
    houses: list[ScheduleHouse] = []

    def make(mode: str = "sync", rule: str = "fedasync", **settings: Any) -> ScheduleHouse:
        asynchronous = AsynchronousSettings(rule=rule)
        task = Task(
            name="mnist", classes=("a", "b"), mode=mode, asynchronous=asynchronous, **settings
        )
        houses.append(ScheduleHouse(tmp_path, task, make_settings))
        houses[-1].beat()
        return houses[-1]

    yield make
    for house in houses:
        house.close()


def steps(house: ScheduleHouse, number: int) -> None:
    """So many trainings, each of which is sent."""
    for _ in range(number):
        house.look()
        house.look()
        house.beat()


def learned(body: bytes) -> float:
    """Of a file, the first number."""
    return float(safetensors.numpy.load(body)["w"][0])


def fail(*calls: str) -> Callable[[str], None]:
    def refuse(call: str) -> None:
        if call in calls:
            raise away()

    return refuse


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_what_cannot_be_sent_is_trained_on(make_house: Make, mode: str) -> None:
    house = make_house(mode)
    server = house.server
    house.look()
    server.fails = fail("send", "download", "tell")
    house.look()
    problem = house.status()["problem"]
    assert problem == (
        "The main server does not answer. It trains on with what is here, and sends when it can."
    )
    house.close()
    house.start()  # the number of trainings is not forgotten
    for _ in range(8):
        house.look()
    assert "download" not in server.calls[server.calls.index("send") :], "nothing is pulled"
    assert "What is trained is sent" in house.status()["problem"]
    row = house.store.pending("mnist")
    assert row is not None
    assert row.result["trainings"] == 5
    assert row.result["base"] == "own"

    server.fails = fail()
    house.beat()
    house.look()
    (header,) = server.headers()
    assert (header.sequence, header.base_version, header.num_samples) == (5, 0, PICTURES)
    assert learned(server.accepted[0]) == 2 - 0.5**5  # of 1, five times halved and added to
    assert house.status()["problem"] is None
    house.beat()
    steps(house, 1)
    assert [header.base_version for header in server.headers()] == [0, 1]


def test_what_is_trained_on_is_not_sent_besides(make_house: Make) -> None:
    """Its answer is not known; but it goes with the update that goes on from it."""
    house = make_house("async", "fedbuff", compression={"method": "top_k"})
    house.look()
    house.server.fails = fail("send")
    house.look()
    house.server.fails = fail()
    house.look()
    assert [header.sequence for header in house.server.headers()] == [2]


@pytest.mark.parametrize(
    ("problem", "is_known"), [(503, False), (401, False), (409, True), (422, True)]
)
def test_an_update_is_on_its_way_until_it_is_known_whether_it_counts(
    make_house: Make, problem: int, is_known: bool
) -> None:
    house = make_house(strategy="scaffold")

    def refuse(call: str) -> None:
        if call == "send":
            raise RemoteProblem({"type": "urn:fedbell:problem:odd", "status": problem})

    house.look()
    house.server.fails = refuse
    house.look()
    row = house.store.pending("mnist")
    assert row is not None
    assert row.on_its_way is not is_known


@pytest.mark.parametrize("rule", ["running_average", "fedasync", "fedbuff"])
def test_where_only_a_pull_fails(make_house: Make, rule: str) -> None:
    """As a client: with its own weights, unless the rule would add their change again."""
    house = make_house("async", rule)
    server = house.server
    steps(house, 1)
    server.fails = fail("download")
    house.look()
    assert "trains on" in house.status()["problem"]
    house.look()
    assert house.status()["problem"] is None
    assert [header.base_version for header in server.headers()] == [0, 0]
    start = 1.0 if rule == "fedbuff" else learned(server.accepted[0])
    assert learned(server.accepted[1]) == start / 2 + 1
    server.fails = fail()
    steps(house, 1)
    assert server.headers()[-1].base_version == 2


def test_a_synchronous_update_that_counts_is_not_replaced(make_house: Make) -> None:
    house = make_house("sync")
    steps(house, 1)
    house.server.fails = fail("download")
    house.look()
    house.look()
    assert house.server.calls.count("send") == 1
    row = house.store.pending("mnist")
    assert row is not None
    assert row.answer is not None
    assert "does not answer" in house.status()["problem"]


def test_a_refusal_is_not_trained_on(make_house: Make) -> None:
    house = make_house("async")
    house.look()

    def locked_out(call: str) -> None:
        if call == "send":
            raise RemoteProblem({"status": 401, "detail": "Locked out."})

    house.server.fails = locked_out
    house.look()
    house.look()
    assert house.status()["problem"].startswith("Locked out.")
    row = house.store.pending("mnist")
    assert row is not None
    assert row.result["trainings"] == 1


@pytest.mark.parametrize("is_restarted", [True, False])
def test_a_main_server_that_went_back_to_an_older_version(
    make_house: Make, is_restarted: bool
) -> None:
    house = make_house()
    steps(house, 3)
    house.server.go_back(2, 1)
    if is_restarted:
        house.close()
        house.start()
    house.look()
    assert len(house.server.accepted) == 1
    house.beat()
    steps(house, 2)
    assert [header.base_version for header in house.server.headers()] == [0, 1, 2]


def test_one_that_forgot_an_update_of_its_open_round(make_house: Make) -> None:
    house = make_house()
    server = house.server
    server.needs = 2
    house.look()
    house.beat()  # before the update is sent: it does not tell of it
    house.look()
    (body,) = server.accepted
    house.look()
    assert house.status()["waits_for"] == "a newer version than 0"
    house.beat()
    house.look()
    assert server.calls.count("send") == 1
    server.go_back(1, 0)
    house.beat()
    house.look()
    assert server.accepted == [body]
    server.waiting.append(NOTHING)
    server.end_round()
    house.beat()
    steps(house, 1)
    assert [header.base_version for header in server.headers()] == [0, 1]


def test_one_that_made_another_version_of_that_number(make_house: Make) -> None:
    house = make_house()
    server = house.server
    server.needs = 2
    steps(house, 1)
    server.go_back(0, 0)
    server._make(NOTHING)
    house.beat()
    house.look()  # refused
    assert not server.accepted
    steps(house, 1)
    assert [header.sequence for header in server.headers()] == [2]
    assert learned(server.accepted[0]) == 1.0
