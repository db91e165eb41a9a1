"""Servers, trainers and states that go away in the middle of things, and come back.

One federation goes through all of it; each test leaves it whole.
"""

import os
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.faults.checks import Ledger
from tests.federation import TASKS, Federation
from tests.server import Server, wait_until

pytestmark = pytest.mark.faults

#: Takes minutes: whatever is to happen in the middle of it does.
LONG = """
    [tasks.long]
    classes = ["dark", "light"]
    image_size = 32
    training = { epochs = 1000, batch_size = 1 }
"""


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    federation = Federation(tmp_path_factory.mktemp("outages"), TASKS + LONG)
    federation.write_pictures()
    federation.write_pictures("long", train=40)
    try:
        federation.start()
        for name in federation.devices:
            federation.caught_up(name, "long")
        yield federation
    finally:
        federation.close()


@pytest.fixture
def first(federation: Federation) -> Server:
    return federation.devices["device1"]


def run_a_round(federation: Federation, task: str = "shades") -> None:
    """One round in which every device counts."""
    newest = max(federation.versions(task))
    (told,) = federation.main.do(f"/run_rounds?task={task}", {"rounds": 1})["rounds"]
    assert told["errors"] == {}
    assert (told["version"], told["updates"]) == (newest + 1, 2)


def training(device: Server) -> str:
    """The job of a device's long training, once it is in the middle."""

    def epochs() -> Any:
        task = device.get("/status")["tasks"]["long"]
        job = task["job"]
        progress = job and job["kind"] == "modeltrain" and job["progress"]
        return job["id"] if progress and progress.get("epoch", 0) > 1 else None

    return f"/jobs/{wait_until(epochs)}"


def online(federation: Federation, device: str) -> bool:
    rows = {row["name"]: row for row in federation.main.get("/devices")["devices"]}
    return bool(rows[device]["online"])


def is_idle(device: Server) -> bool:
    return not device.get("/status")["tasks"]["shades"]["job"]


def is_in_another_federation(device: Server, former: Any) -> bool:
    return bool(device.get("/status")["federation"] != former["federation"])


def stop_training(device: Server) -> None:
    """Cancel a device's long training."""
    job = training(device)
    device.do(f"{job}/cancel")
    assert device.ended(job)["status"] == "cancelled"


def test_a_device_that_is_down(federation: Federation, first: Server) -> None:
    newest = max(federation.versions())
    first.kill()
    trained = federation.main.do("/modeltrain")["devices"]
    sent = federation.main.do("/sendmodel")["devices"]
    aggregated = federation.main.do("/aggregate_models")
    distributed = federation.main.do("/send_model_clients")["devices"]
    for answer in (trained, sent, distributed):
        detail = answer["device1"]["error"]["detail"]
        assert "device1 cannot be reached" in detail
        assert "Start it" in detail
        assert "error" not in answer["device2"]
    assert (aggregated["version"], aggregated["updates"]) == (newest + 1, 1)
    row = federation.rounds()[-1]
    assert list(row["updates"]) == ["device2"]
    assert row["evaluation"]["num_samples"] == 8
    page = federation.main.http.get("/", headers={"Accept": "text/html"}).text
    assert "device1 cannot be reached" in page

    first.start()
    here = federation.caught_up("device1", version=newest + 1)
    number = row["number"]
    told = wait_until(
        lambda: federation.main.get(f"/rounds/{number}")["evaluations"].get("device1")
    )
    assert told["accuracy"] == here["evaluation"]["accuracy"]
    assert federation.rounds()[-1]["evaluation"]["num_samples"] == 6 + 8
    run_a_round(federation)


def test_a_device_down_during_run_rounds(federation: Federation, first: Server) -> None:
    newest = max(federation.versions())
    first.kill()
    told = federation.main.do("/run_rounds", {"rounds": 2})["rounds"]
    assert [row["version"] for row in told] == [newest + 1, newest + 2]
    assert [row["updates"] for row in told] == [1, 1]
    assert all(
        "device1 cannot be reached" in row["errors"]["modeltrain on device1"] for row in told
    )
    first.start()
    federation.caught_up("device1", version=newest + 2)
    run_a_round(federation)


def test_all_devices_down(federation: Federation) -> None:
    before = Ledger(federation)
    for device in federation.devices.values():
        device.kill()
    failed = federation.main.post("/modeltrain")
    assert failed.status_code == 502
    for name in federation.devices:
        assert f"{name} cannot be reached" in failed.json()["detail"]
    assert federation.main.post("/run_rounds", {"rounds": 3}).status_code == 502
    for device in federation.devices.values():
        device.start()
    run_a_round(federation)
    before.check_kept(Ledger(federation))


def test_a_trainer_killed_in_the_middle(federation: Federation, first: Server) -> None:
    job = federation.main.begin("/modeltrain?task=long")
    mine = training(first)
    os.kill(first.get("/status")["trainer"]["pid"], signal.SIGKILL)
    failed = first.ended(mine)
    assert failed["status"] == "failed"
    assert "was killed by SIGKILL" in failed["problem"]["detail"]
    assert "try again" in failed["problem"]["detail"]
    stop_training(federation.devices["device2"])
    told = federation.main.ended(job)
    assert "device1: The trainer's process was killed" in told["problem"]["detail"]
    assert "device2: The job was cancelled" in told["problem"]["detail"]
    assert first.do("/modeltrain?task=long", {"epochs": 1})["epochs"] == 1
    run_a_round(federation)


def test_a_device_killed_in_the_middle_of_a_training(federation: Federation, first: Server) -> None:
    second = federation.devices["device2"]
    newest = max(federation.versions("long"))
    job = federation.main.begin("/modeltrain?task=long")
    mine = training(first)
    first.kill()
    stop_training(second)
    assert "device1 cannot be reached" in federation.main.ended(job)["problem"]["detail"]
    first.start()
    failed = first.get(mine)
    assert failed["status"] == "failed"
    assert "Run modeltrain again" in failed["problem"]["detail"]
    for device in federation.devices.values():
        assert device.do("/modeltrain?task=long", {"epochs": 1})["base_version"] == newest
    assert "error" not in str(federation.main.do("/sendmodel?task=long"))
    assert federation.main.do("/aggregate_models?task=long")["updates"] == 2
    federation.main.do("/send_model_clients?task=long")
    run_a_round(federation)


def test_the_main_server_killed_during_run_rounds(federation: Federation) -> None:
    begun = max(federation.versions())
    job = federation.main.begin("/run_rounds", {"rounds": 1000})
    wait_until(lambda: max(federation.versions()) >= begun + 2)
    before = Ledger(federation)
    federation.main.kill()
    federation.main.start()
    before.check_kept(Ledger(federation))
    lost = federation.main.get(job)
    assert lost["status"] == "failed"
    assert "Run run_rounds again" in lost["problem"]["detail"]
    for device in federation.devices.values():  # what the killed server had asked for ends first
        wait_until(partial(is_idle, device))
    newest = max(federation.versions())
    told = federation.main.do("/run_rounds", {"rounds": 2})["rounds"]
    assert [row["version"] for row in told] == [newest + 1, newest + 2]
    assert [row["updates"] for row in told] == [2, 2]
    assert sorted(federation.versions()) == list(range(newest + 3))


def test_the_main_server_away_while_a_device_trains_and_sends(
    federation: Federation, first: Server
) -> None:
    newest = max(federation.versions())
    federation.main.kill()
    trained = first.do("/modeltrain")
    assert (trained["base_version"], trained["base"]) == (newest, "installed")
    assert federation.main.url in trained["reservation"]
    for _ in range(2):
        away = first.post("/sendmodel")
        assert away.status_code == 503
        assert away.headers["Content-Type"] == "application/problem+json"
        assert federation.main.url in away.json()["detail"]
        assert "do this step again" in away.json()["detail"]
        assert first.get("/status")["tasks"]["shades"]["pending"]["sent"] is False
    first.kill()
    first.start()
    assert first.get("/status")["tasks"]["shades"]["pending"]["sent"] is False
    federation.main.start()
    sent = first.do("/sendmodel")
    assert (sent["device"], sent["num_samples"]) == ("device1", 8)
    assert first.do("/sendmodel") == sent
    assert list(federation.rounds()[-1]["updates"]) == ["device1"]
    run_a_round(federation)


def test_the_main_server_killed_while_devices_train(federation: Federation, first: Server) -> None:
    federation.main.begin("/modeltrain?task=long")
    mine = training(first)
    federation.main.kill()
    assert first.get(mine)["status"] == "running"
    federation.main.start()
    assert first.get(mine)["status"] == "running"
    busy = federation.main.post("/modeltrain?task=long")
    assert busy.status_code == 502
    for name in federation.devices:
        told = busy.json()["devices"][name]["error"]
        assert f"{name} is" in told["detail"]
        assert "/cancel stops it" in told["detail"]
    for device in federation.devices.values():
        stop_training(device)
    run_a_round(federation)


def test_a_devices_state_deleted(federation: Federation, first: Server) -> None:
    first.stop()
    shutil.rmtree(first.state)
    first.start()
    problem = wait_until(lambda: first.get("/status")["main_server"]["problem"])
    assert "device1 is enrolled with another token" in problem
    assert "Forget" in problem
    assert "fedbell tokens forget device1." in problem
    refused = first.post("/modeltrain")
    assert refused.status_code == 503

    before = Ledger(federation)
    wait_until(lambda: not online(federation, "device1"))  # as the old one, it is lost
    assert federation.main.http.delete("/devices/device1").is_success
    federation.caught_up("device1")
    run_a_round(federation)
    before.check_kept(Ledger(federation))


def test_the_main_servers_state_deleted(federation: Federation) -> None:
    before = federation.main.get("/rounds?task=shades")["rounds"]
    former = {name: each.get("/status") for name, each in federation.devices.items()}
    assert before
    federation.main.stop()
    shutil.rmtree(federation.main.state)
    federation.main.start()
    for name, device in federation.devices.items():
        wait_until(partial(is_in_another_federation, device, former[name]))
        assert federation.caught_up(name, version=0)["pending"] is None
        refused = device.post("/sendmodel")
        assert refused.json()["type"] == "urn:fedbell:problem:nothing-to-send"
    assert federation.rounds() == []
    run_a_round(federation)
    run_a_round(federation, "shades")
    assert [row["version"] for row in federation.rounds()] == [1, 2]
