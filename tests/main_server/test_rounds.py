"""A round at the main server: what counts, once, and from which version."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from safetensors.numpy import load

from shared.federated.weights import Schema

from .conftest import BACKBONE, ThinDevice, initial_weights, snapshot


def kernel(client: FlaskClient, version: int | str) -> list[float]:
    content = client.get(f"/models/{version}", buffered=True).data
    return load(content)["head/kernel"].ravel().tolist()


def filled(number: float) -> dict[str, np.ndarray]:
    return {name: np.full_like(array, number) for name, array in initial_weights().items()}


def test_a_round(device: ThinDevice) -> None:
    client = device.client
    other = ThinDevice(client, "device2")
    other.status()
    answer = device.send(device.update(filled(10.0), num_samples=10))
    assert answer.json == {
        "round": 1,
        "device": "device1",
        "num_samples": 10,
        "bytes": len(device.update(filled(10.0), num_samples=10)),
    }
    other.send(other.update(filled(20.0), num_samples=20))
    told = client.post("/aggregate_models").get_json()
    assert told.pop("seconds") >= 0
    assert told == {
        "round": 1,
        "version": 1,
        "strategy": "fedavg",
        "updates": 2,
        "num_samples": 30,
    }
    np.testing.assert_allclose(kernel(client, "latest"), [500 / 30] * 6, rtol=1e-6)
    assert kernel(client, 0) == [0, 1, 2, 3, 4, 5]  # versions are never overwritten
    row = client.get("/rounds/1").json
    assert (row["status"], row["base_version"], row["version"]) == ("aggregated", 0, 1)
    assert row["updates"]["device2"]["num_samples"] == 20
    assert row["bytes_received"] == sum(each["bytes"] for each in row["updates"].values())


def test_earlier_rounds_models_are_not_averaged_again(device: ThinDevice, state: Path) -> None:
    device.send(device.update(filled(100.0)))
    device.client.post("/aggregate_models")
    device.send(device.update(filled(2.0), base_version=1))
    assert device.client.post("/aggregate_models").json["updates"] == 1
    assert kernel(device.client, 2) == [2.0] * 6
    assert not [path for path in (state / "updates").rglob("*") if path.is_file()]


def test_sent_twice_it_counts_once(device: ThinDevice, state: Path) -> None:
    body = device.update(filled(3.0))
    first = device.send(body)
    before = snapshot(state)
    again = device.send(body)
    assert (again.status_code, again.json) == (200, first.json)
    assert snapshot(state) == before
    device.client.post("/aggregate_models")
    late = device.send(body)  # the answer was lost, the round went on: still the same answer
    assert (late.status_code, late.json) == (200, first.json)
    assert device.client.get("/rounds").json["rounds"][0]["number"] == 1


def test_trained_again_the_newer_update_counts(device: ThinDevice) -> None:
    device.send(device.update(filled(3.0)))
    device.send(device.update(filled(5.0)))
    assert device.client.post("/aggregate_models").json["updates"] == 1
    assert kernel(device.client, 1) == [5.0] * 6


def test_an_update_that_was_replaced_leaves_no_file(device: ThinDevice, state: Path) -> None:
    """A device that sends without end fills no disk."""
    for samples in (10, 20, 30):
        device.send(num_samples=samples)
    assert len(list((state / "updates").rglob("*.safetensors"))) == 1


def test_an_update_that_is_replaced_while_it_is_averaged(
    device: ThinDevice, app: APIFlask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is gone then: the newer one is averaged."""
    device.send(device.update(filled(3.0)))
    models = app.extensions["fedbell"].models
    plain, calls = models.aggregate, []

    def late(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            assert device.send(device.update(filled(5.0))).status_code == 200
        return plain(*arguments, **named)

    monkeypatch.setattr(models, "aggregate", late)
    told = device.client.post("/aggregate_models")
    assert told.status_code == 200, told.text
    assert len(calls) == 2
    assert kernel(device.client, 1) == [5.0] * 6


def test_once_there_is_a_version_0_no_larger_one_is_taken(device: ThinDevice) -> None:
    other = ThinDevice(device.client, "device2")
    other.status()
    assert other.offer().status_code == 200
    huge = {name: np.zeros((1000, 1000), np.float32) for name in initial_weights()}
    assert other.offer(huge).status_code == 413


def test_version_0_is_common_to_all(device: ThinDevice) -> None:
    other = ThinDevice(device.client, "device2")
    other.status()
    answer = other.offer(filled(9.0))
    assert (answer.status_code, answer.json["taken"]) == (200, False)
    assert kernel(device.client, 0) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"fingerprint": "0" * 64}, "fingerprint"),
        ({"backbone": ""}, "backbone"),
        ({"task": "x"}, "task"),
    ],
)
def test_a_wrong_version_0_is_refused(
    client: FlaskClient, metadata: dict[str, Any], sentence: str
) -> None:
    device = ThinDevice(client, "device1")
    device.status()
    response = device.offer(**metadata)
    assert response.status_code == 422
    assert sentence in response.json["detail"]
    assert client.get("/models").json["versions"] == []


def test_training_waits_for_devices_that_are_starting(
    make_app: Callable[..., APIFlask],
) -> None:
    client = make_app(first_version_seconds=30).test_client()
    device = ThinDevice(client, "device1")
    job = client.post("/modeltrain", headers={"Prefer": "respond-async"}).headers["Location"]
    assert client.get(job).json["status"] == "running"
    device.status()
    assert device.offer().status_code == 201
    told = wait_for_job(client, job)  # it went on, and found nobody at the thin device's address
    assert told["problem"]["type"] == "urn:fedbell:problem:every-device-failed"
    assert "device1 cannot be reached" in told["problem"]["detail"]


def test_training_does_not_wait_for_a_device_that_cannot(
    make_app: Callable[..., APIFlask],
) -> None:
    client = make_app(first_version_seconds=3600).test_client()
    problem = {"digits": {"num_samples": 0, "problem": "There is no picture."}}
    ThinDevice(client, "device1").status(tasks=problem)
    told = client.post("/modeltrain").json
    assert told["type"] == "urn:fedbell:problem:no-model-yet"
    assert "device1: There is no picture." in told["detail"]


def test_a_version_has_an_etag(device: ThinDevice) -> None:
    first = device.client.get("/models/0", buffered=True)
    assert first.headers["Fedbell-Version"] == "0"
    again = device.client.get("/models/0", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert not again.data


def test_two_processes_answer_alike(make_app: Callable[..., APIFlask], device: ThinDevice) -> None:
    second = make_app().test_client()
    other = ThinDevice(second, "device2")
    other.status()
    device.send()
    assert other.send().status_code == 200
    assert second.post("/aggregate_models").json["updates"] == 2
    for path in ("/rounds", "/rounds/1", "/models", "/tasks", "/models/latest", "/metrics"):
        answers = [client.get(path, buffered=True).data for client in (second, device.client)]
        assert answers[0] == answers[1]
    job = device.client.get("/jobs").json["jobs"][0]["id"]
    assert second.get(f"/jobs/{job}").json == device.client.get(f"/jobs/{job}").json


def test_tasks_stand_side_by_side(device: ThinDevice) -> None:
    other = ThinDevice(device.client, "device1", "parcels")
    assert device.client.get("/models/latest?task=parcels").status_code == 404
    other.status()
    assert other.offer().status_code == 201
    assert other.send().status_code == 200
    device.send()
    assert device.client.post("/aggregate_models").json["version"] == 1
    assert [
        row["version"] for row in device.client.get("/models?task=parcels").json["versions"]
    ] == [0]


def test_a_client_list_does_not_grow(device: ThinDevice) -> None:
    for _ in range(3):
        device.status()
    assert len(device.client.get("/devices").json["devices"]) == 1


def test_evaluations_are_weighted_by_test_samples(device: ThinDevice) -> None:
    other = ThinDevice(device.client, "device2")
    device.send()
    device.client.post("/aggregate_models")
    for each, accuracy, count in ((device, 0.5, 30), (other, 0.9, 10)):
        evaluation = {"version": 1, "accuracy": accuracy, "loss": 1.0, "num_samples": count}
        told = {"digits": {"num_samples": 10, "version": 1, "evaluation": evaluation}}
        assert each.status(tasks=told).status_code == 200
        assert each.status(tasks=told).status_code == 200
    told = device.client.get("/rounds/1").json["evaluation"]
    assert told["num_samples"] == 40
    assert told["accuracy"] == pytest.approx((0.5 * 30 + 0.9 * 10) / 40)


def test_a_forgotten_device_may_enrol_anew(make_app: Callable[..., APIFlask]) -> None:
    device = ThinDevice(make_app(heartbeat_seconds=0.001).test_client(), "device1")
    device.status()
    time.sleep(0.01)  # three heartbeats: it is lost
    assert device.client.delete("/devices/device1").status_code == 200
    assert device.client.get("/devices").json["devices"] == []
    assert device.send().status_code == 401
    device.token = "a new token, after the state was deleted"
    assert device.status().status_code == 200
    assert device.client.delete("/devices/nobody").status_code == 404


def test_a_step_that_failed_does_not_stay_busy(device: ThinDevice) -> None:
    for _ in range(2):
        response = device.client.post("/aggregate_models")
        assert response.json["type"] == "urn:fedbell:problem:too-few-updates"
    device.send()
    assert device.client.post("/aggregate_models").status_code == 200


def test_respond_async(device: ThinDevice) -> None:
    device.send()
    response = device.client.post("/aggregate_models", headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    job = wait_for_job(device.client, response.headers["Location"])
    assert job["status"] == "done"
    assert job["result"]["version"] == 1


def test_a_job_of_a_dead_process_is_over(app: APIFlask, make_app: Callable[..., APIFlask]) -> None:
    jobs = app.extensions["fedbell"].jobs
    job = jobs._add("modeltrain", "digits", durable=True).job
    assert make_app().test_client().get(f"/jobs/{job}").json["status"] == "running"
    jobs._alive.release()  # what the system does when the process ends
    told = make_app().test_client().get(f"/jobs/{job}").json
    assert told["status"] == "failed"
    assert told["problem"]["type"] == "urn:fedbell:problem:job-lost"


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (2 * 1024 * 1024, 413)])
def test_a_chunked_body_is_counted_while_it_comes(
    device: ThinDevice, extra: int, status: int
) -> None:
    response = device.client.post(
        "/cmodel",
        input_stream=io.BytesIO(device.update() + bytes(extra)),
        headers=device.headers | {"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert response.status_code == status


def test_a_large_network_is_taken(client: FlaskClient) -> None:
    device = ThinDevice(client, "device1")
    device.status()
    weights = {"kernel": np.ones((1000, 500), np.float32)}  # 2 MB
    assert device.offer(weights).status_code == 201
    fingerprint = Schema.of(weights).fingerprint(BACKBONE)
    assert device.send(device.update(weights, fingerprint=fingerprint)).status_code == 200
    assert client.post("/aggregate_models").json["version"] == 1


def test_offering_again_leaves_no_file_behind(device: ThinDevice, state: Path) -> None:
    before = snapshot(state)
    for _ in range(3):
        assert device.offer().status_code == 200
    assert snapshot(state) == before


def wait_for_job(client: FlaskClient, address: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(address).get_json()
        if job["status"] != "running":
            return job
        time.sleep(0.02)
    pytest.fail(f"the job at {address} did not end in time")


def test_a_link_for_people_may_be_another_address(device: ThinDevice) -> None:
    def told() -> tuple[str, str]:
        row = device.client.get("/devices").json["devices"][0]
        return row["url"], row["page_url"]

    assert told() == ("http://127.0.0.1:9", "http://127.0.0.1:9")
    assert device.status(page_url="http://localhost:9001").status_code == 200
    assert told() == ("http://127.0.0.1:9", "http://localhost:9001")
    assert 'href="http://localhost:9001/?task=digits"' in device.client.get("/").text
    assert device.status(page_url="javascript:alert(1)").status_code == 400


def test_a_device_without_pictures_takes_no_part(device: ThinDevice) -> None:
    idle = ThinDevice(device.client, "device2")
    idle.status(tasks={"digits": {"num_samples": 0, "problem": "There is no picture."}})
    refused = device.client.post("/modeltrain").json
    assert list(refused["devices"]) == ["device1"]
    assert device.client.post("/aggregate_models").json["missing"] == ["device1"]


def test_files_of_a_round_that_is_not_committed_yet_stay(
    device: ThinDevice, app: APIFlask, state: Path
) -> None:
    file = state / "updates" / "digits" / "1" / "device1-0.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    rounds = app.extensions["fedbell"].rounds
    rounds.remove_files_of_closed()
    assert file.exists()
    device.send()
    device.client.post("/aggregate_models")
    assert not file.exists()
