"""What the main server hears of a device at work, with real servers and all calls recorded."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from shared.device.progress import SHORT_SECONDS
from tests.device.processes import SEND, TRAIN, Connection
from tests.federation import Federation
from tests.server import Server, wait_until


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    """Between the device and its main server."""
    connection = Connection()
    yield connection
    connection.cut()


@pytest.fixture(scope="module")
def federation(
    connection: Connection, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Federation]:
    """Of one device, whose heart beats by itself once a minute only."""
    federation = Federation(
        tmp_path_factory.mktemp("federation"), heartbeat_seconds=60, devices=("device1",)
    )
    federation.write_pictures(train=12)
    federation.devices["device1"].environment["MAIN_SERVER_URL"] = connection.url
    connection.connect(federation.main.url)
    try:
        federation.start()
        yield federation
    finally:
        federation.close()


@pytest.fixture(scope="module")
def device(federation: Federation) -> Server:
    return federation.devices["device1"]


def heartbeats(connection: Connection) -> list[dict[str, Any]]:
    """What each heartbeat so far said of task shades."""
    bodies = [body for call, body in connection.sent if call == "POST /clientstatus"]
    return [json.loads(body)["tasks"].get("shades", {}) for body in bodies]


def evaluations(connection: Connection) -> list[dict[str, Any]]:
    """The evaluations that heartbeats so far told."""
    return [told["evaluation"] for told in heartbeats(connection) if told.get("evaluation")]


def test_a_long_step_is_told_once_a_second_until_it_is_over(
    device: Server, connection: Connection
) -> None:
    before, started = len(heartbeats(connection)), time.monotonic()
    job = device.begin(TRAIN, {"epochs": 1000, "batch_size": 1})

    def told() -> list[dict[str, Any]]:
        return [each["activity"] for each in heartbeats(connection)[before:] if "activity" in each]

    wait_until(lambda: [each for each in told() if each["phase"] == "training"][1:])
    progress = device.task("shades")["job"]["progress"]
    assert progress["elapsed_seconds"] > 0
    assert progress["eta_seconds"] > 0
    device.post(f"{job}/cancel")
    assert device.ended(job)["status"] == "cancelled"
    wait_until(lambda: "activity" not in heartbeats(connection)[-1])
    seconds = time.monotonic() - started
    # One a second, and those for what was begun and ended; not one for each epoch.
    assert len(heartbeats(connection)) - before <= seconds + 5
    first, second = [each for each in told() if each["phase"] == "training"][:2]
    assert (second["step"], second["total"]) == ("modeltrain", 1000)
    assert 0 < first["done"] < second["done"]
    assert second["loss"] >= 0
    assert 0 <= second["accuracy"] <= 1
    assert 0 < first["elapsed_seconds"] < second["elapsed_seconds"]
    assert second["eta_seconds"] > 0


def test_short_steps_cause_no_heartbeat(device: Server, connection: Connection) -> None:
    device.do(TRAIN)  # what it compiles, it compiled

    def is_quiet() -> bool:
        wait_until(lambda: "activity" not in heartbeats(connection)[-1])
        before, began = len(heartbeats(connection)), time.monotonic()
        device.do(TRAIN)
        device.do(SEND)
        is_short = time.monotonic() - began < SHORT_SECONDS
        time.sleep(1.5)  # a beat that was to come would have come
        told = len(heartbeats(connection)) - before
        assert not (is_short and told)
        return is_short

    wait_until(is_quiet)  # on a busy machine the steps take long at first


def test_a_confusion_is_told_until_the_main_server_has_it_and_no_longer(
    device: Server, federation: Federation, connection: Connection
) -> None:
    wait_until(lambda: evaluations(connection))
    assert [cell[2] for cell in evaluations(connection)[0]["confusion"]]
    before = len(evaluations(connection))
    federation.main.do("/aggregate_models?task=shades")
    distributed = federation.main.do("/send_model_clients?task=shades")
    assert "confusion" not in str(distributed)
    told = device.task("shades")["evaluation"]
    assert sum(cell[2] for cell in told["confusion"]) == told["num_samples"] == 6
    first = wait_until(lambda: evaluations(connection)[before:])[0]
    assert first == told
    before = len(evaluations(connection))
    device.post(SEND, {"round": 500})  # what fails is told at once
    wait_until(lambda: evaluations(connection)[before:])
    later = evaluations(connection)[before:]
    assert all("confusion" not in evaluation for evaluation in later)
    assert later[-1]["version"] == told["version"]
    number = federation.rounds()[-1]["number"]
    kept = federation.main.get(f"/rounds/{number}?task=shades")["evaluations"]["device1"]
    assert kept["confusion"] == told["confusion"]
