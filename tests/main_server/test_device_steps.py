"""How each step goes on each device: noted as it happens, told with the round and in the log."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from main_server.server import MainServer
from main_server.store.round_steps import trained
from main_server.store.tables import DeviceTask
from shared.web.events import newest_events
from tests.server import wait_until

from .answering_device import CONFUSION, HISTORY, AnsweringDevice
from .conftest import store_of

STEPS = ("modeltrain", "sendmodel", "aggregate_models", "send_model_clients")


@pytest.fixture
def devices(client: FlaskClient) -> Iterator[list[AnsweringDevice]]:
    made = [AnsweringDevice(client, name) for name in ("device1", "device2")]
    yield made
    for each in made:
        each.close()


@pytest.fixture
def server(app: APIFlask) -> MainServer:
    found: MainServer = app.extensions["fedbell"]
    return found


def begin(client: FlaskClient, path: str, body: Any = None) -> str:
    answer = client.post(path, json=body, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"]


def ended(client: FlaskClient, job: str) -> Any:
    def over() -> Any:
        row = client.get(job).get_json()
        return None if row["status"] == "running" else row

    return wait_until(over)


def steps(client: FlaskClient, number: int = 1) -> Any:
    return client.get(f"/rounds/{number}").json["steps"]


def messages(server: MainServer) -> list[str]:
    return [row.message for row in reversed(newest_events(server.database, 99))]


@pytest.mark.usefixtures("devices")
def test_a_whole_round_is_told_step_by_step(client: FlaskClient, server: MainServer) -> None:
    for step in STEPS:
        assert client.post(f"/{step}").status_code == 200
    told = steps(client)
    assert list(told) == list(STEPS)
    training = told["modeltrain"]["device2"]
    assert (training["state"], training["attempts"], training["problem"]) == ("done", 1, None)
    assert training["started"] <= training["finished"]
    assert training["result"] == {
        "base_version": 0,
        "epochs": 2,
        "num_samples": 10,
        "history": HISTORY,
        "evaluation": None,
        "seconds": 0.1,
        "metrics": {"loss": 0.5, "accuracy": 0.861, "val_accuracy": 0.84},
        "skipped": 1,
    }
    assert told["sendmodel"]["device1"]["result"]["bytes"] > 0
    made = told["aggregate_models"][""]["result"]
    assert (made["version"], made["updates"], made["strategy"]) == (1, 2, "fedavg")
    installed = told["send_model_clients"]["device1"]["result"]
    assert installed["evaluation"] == {"accuracy": 0.75, "loss": 0.5, "num_samples": 4}
    said = messages(server)
    words = "trained 2 epochs on 10 pictures: loss 0.5, accuracy 86.1 %, validation accuracy 84.0 %"
    assert {f"device1 {words}", f"device2 {words}"} <= set(said)
    assert said[-1] == "version 1: federated accuracy 75.0 %, loss 0.5 on 8 test pictures"


@pytest.mark.usefixtures("devices")
def test_a_confusion_is_told_with_the_round_alone(client: FlaskClient) -> None:
    answers = [client.post(f"/{step}").json for step in STEPS]
    evaluation = {"accuracy": 0.75, "loss": 0.5, "num_samples": 4}
    assert answers[-1]["devices"]["device1"]["evaluation"] == evaluation
    told = client.get("/rounds/1").json["evaluations"]
    assert told["device2"] == evaluation | {"confusion": CONFUSION}


@pytest.mark.usefixtures("devices")
def test_the_log_of_many_rounds_is_no_flood(client: FlaskClient, server: MainServer) -> None:
    before = len(messages(server))
    assert client.post("/run_rounds", json={"rounds": 3}).status_code == 200
    new = messages(server)[before:]
    assert new[0] == "3 rounds begun"
    assert len(new) <= 1 + 3 * 7


def test_each_device_is_seen_to_end(client: FlaskClient, devices: list[AnsweringDevice]) -> None:
    client.post("/modeltrain")  # opens the round, so that it can be looked at
    second = devices[1]
    second.held["sendmodel"] = threading.Event()
    job = begin(client, "/sendmodel")

    def first_is_done() -> bool:
        told = steps(client).get("sendmodel", {})
        return bool(told) and told["device1"]["state"] == "done"

    wait_until(first_is_done)
    assert steps(client)["sendmodel"]["device2"]["state"] == "running"
    second.held["sendmodel"].set()
    assert ended(client, job)["status"] == "done"
    assert steps(client)["sendmodel"]["device2"]["state"] == "done"


@pytest.mark.usefixtures("devices")
def test_what_a_killed_server_was_at_has_failed(
    client: FlaskClient, make_app: Callable[..., APIFlask], server: MainServer
) -> None:
    client.post("/modeltrain")
    server.round_steps.begin("digits", 1, "sendmodel", ["device1"], "a job that nobody runs")
    other = make_app().extensions["fedbell"].round_steps
    for told in (other.last_problems("digits")["device1"], other.of_round("digits", 1)[-1]):
        assert (told.state, told.attempts) == ("failed", 1)
        assert "was stopped while this ran" in told.problem["title"]
    assert trained(server.round_steps.of_round("digits", 1)) == {"device1", "device2"}
    client.post("/sendmodel")
    again = steps(client)["sendmodel"]["device1"]
    assert (again["state"], again["attempts"], again["problem"]) == ("done", 2, None)


@pytest.mark.usefixtures("devices")
def test_an_aggregation_that_fails_is_told_with_its_reason(
    client: FlaskClient, server: MainServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    client.post("/modeltrain")
    client.post("/sendmodel")
    monkeypatch.setattr(server.models, "aggregate", full)
    assert client.post("/aggregate_models").status_code == 507
    told = steps(client)["aggregate_models"][""]
    assert (told["state"], "No space left" in told["problem"]["detail"]) == ("failed", True)
    step, job = messages(server)[-2:]  # the round's step, and what somebody asked for
    assert step.startswith("Aggregation failed: OSError")
    assert job.startswith("aggregate_models failed: OSError")
    monkeypatch.undo()
    assert client.post("/aggregate_models").status_code == 200
    assert steps(client)["aggregate_models"][""]["attempts"] == 2


def test_retry_on_one_device_alone(client: FlaskClient, devices: list[AnsweringDevice]) -> None:
    first, second = devices
    second.failing["modeltrain"] = ("no-pictures", "There is no readable picture.")
    assert client.post("/modeltrain").status_code == 200
    failed = steps(client)["modeltrain"]["device2"]
    assert failed["problem"]["detail"] == "There is no readable picture."
    del second.failing["modeltrain"]
    answer = client.post("/modeltrain?device=device2").json
    assert list(answer["devices"]) == ["device2"]
    assert first.asked == ["modeltrain"]
    told = steps(client)["modeltrain"]
    assert {name: (row["state"], row["attempts"]) for name, row in told.items()} == {
        "device1": ("done", 1),
        "device2": ("done", 2),
    }
    for step in ("sendmodel", "aggregate_models", "send_model_clients"):
        suffix = "" if step == "aggregate_models" else "?device=device1"
        assert client.post(f"/{step}{suffix}").status_code == 200
    assert second.asked == ["modeltrain", "modeltrain"]
    assert steps(client)["send_model_clients"].keys() == {"device1"}


def test_a_device_that_takes_no_part_is_refused(
    client: FlaskClient, devices: list[AnsweringDevice]
) -> None:
    first, _ = devices
    first.num_samples = 0
    first.beat(problem="The folder train is empty.")
    for step in ("modeltrain", "sendmodel", "send_model_clients"):
        unknown = client.post(f"/{step}?device=device9")
        assert unknown.status_code == 404
        assert "There is no device device9" in unknown.json["detail"]
        idle = client.post(f"/{step}?device=device1")
        assert (idle.status_code, idle.json["type"]) == (409, "urn:fedbell:problem:not-taking-part")
        assert "The folder train is empty." in idle.json["detail"]
        assert client.post(f"/{step}?device=../x").status_code == 400
    assert client.get("/jobs").json["jobs"] == [], "refused at once"


def test_last_training_and_last_problem_of_each_device(
    client: FlaskClient, devices: list[AnsweringDevice], server: MainServer
) -> None:
    second = devices[1]
    assert server.round_steps.last_trainings("digits") == {}
    client.post("/run_rounds", json={"rounds": 2})
    second.failing["modeltrain"] = ("broken", "The lens is broken.")
    client.post("/modeltrain")
    last = server.round_steps.last_trainings("digits")
    assert {name: row.round for name, row in last.items()} == {"device1": 3, "device2": 2}
    problems = server.round_steps.last_problems("digits")
    assert {name: row.problem["detail"] for name, row in problems.items()} == {
        "device2": "The lens is broken."
    }
    rows = server.round_steps.trainings("digits", [2, 3])
    assert [(row.round, row.device) for row in rows] == [
        (2, "device1"),
        (2, "device2"),
        (3, "device1"),
    ]
    assert server.round_steps.last_trainings("parcels") == {}


def test_a_device_that_trained_by_itself_is_seen_too(
    client: FlaskClient, devices: list[AnsweringDevice], server: MainServer
) -> None:
    first, _ = devices
    first.train()
    assert first.send_trained().status_code == 200
    told = steps(client)
    assert told["sendmodel"]["device1"]["result"]["num_samples"] == 10
    trained_itself = told["modeltrain"]["device1"]["result"]
    assert trained_itself["metrics"]["accuracy"] == 0.861
    assert (trained_itself["history"], trained_itself["epochs"]) == (HISTORY, 2)
    assert trained(server.round_steps.of_round("digits", 1)) == {"device1"}


@pytest.mark.usefixtures("devices")
def test_its_training_is_not_overwritten_when_it_was_asked_for(client: FlaskClient) -> None:
    client.post("/modeltrain")
    client.post("/sendmodel")
    told = steps(client)
    assert told["modeltrain"]["device1"]["result"]["history"] == HISTORY
    assert told["modeltrain"]["device1"]["attempts"] == 1
    assert told["sendmodel"]["device1"]["attempts"] == 1


def test_activity_is_shown_while_there_is_one(
    make_app: Callable[..., APIFlask], state: Path
) -> None:
    client = make_app(heartbeat_seconds=0.2).test_client()
    device = AnsweringDevice(client, "device1")
    activity = {
        "step": "modeltrain",
        "phase": "training",
        "done": 2,
        "total": 3,
        "loss": 0.5,
        "elapsed_seconds": 12.0,
    }

    def told() -> Any:
        return client.get("/devices").json["devices"][0]["tasks"]["digits"]["activity"]

    assert told() is None
    assert device.beat(activity=activity).status_code == 200
    assert {name: told()[name] for name in activity} == activity
    device.beat()
    assert told() is None
    with store_of(state) as connection:
        told_none = connection.scalar(select(func.count()).where(DeviceTask.activity.is_(None)))
    assert told_none == 1
    device.beat(activity=activity)
    wait_until(lambda: not client.get("/devices").json["devices"][0]["online"])
    assert told() is None, "who knows what a lost device is at"
    assert device.beat(activity=activity | {"done": -1}).status_code == 400
    device.close()


def test_a_heartbeat_may_tell_a_large_confusion(devices: list[AnsweringDevice]) -> None:
    first, _ = devices
    cells = [[index // 100, index % 100, 1] for index in range(10_000)]
    evaluation = {"version": 0, "accuracy": 0.01, "loss": 4.6, "num_samples": 10_000}
    assert first.beat(version=0, evaluation=evaluation | {"confusion": cells}).status_code == 200
    wrong = evaluation | {"confusion": cells[:-1]}
    assert first.beat(version=0, evaluation=wrong).status_code == 400


def test_a_confusion_is_kept_until_the_version_is_measured_anew(
    client: FlaskClient, devices: list[AnsweringDevice]
) -> None:
    """A heartbeat leaves out the confusion that it has told before."""
    client.post("/run_rounds")
    first = devices[0]
    evaluation = {"version": 1, "accuracy": 0.75, "loss": 0.5, "num_samples": 4}

    def told() -> Any:
        return client.get("/rounds/1").json["evaluations"]["device1"]["confusion"]

    first.beat(version=1, evaluation=evaluation)
    assert told() == CONFUSION
    first.beat(version=1, evaluation=evaluation | {"accuracy": 0.5})
    assert told() is None
