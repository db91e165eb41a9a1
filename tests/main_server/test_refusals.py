"""What the main server refuses: with problem details, and with nothing changed."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from safetensors.numpy import save

from shared.web.locks import try_lock

from .conftest import ThinDevice, initial_weights, snapshot


def changed(**arrays: Any) -> dict[str, Any]:
    return initial_weights() | arrays


BODIES: dict[str, tuple[Callable[[ThinDevice], bytes], int, str, str]] = {
    "another shape": (
        lambda device: device.update(changed(**{"head/kernel": np.zeros((2, 2), np.float32)})),
        422,
        "schema-mismatch",
        "head/kernel has shape (2, 2)",
    ),
    "a missing array": (
        lambda device: device.update({"head/kernel": initial_weights()["head/kernel"]}),
        422,
        "schema-mismatch",
        "head/bias is missing",
    ),
    "an array too many": (
        lambda device: device.update(changed(extra=np.zeros(1, np.float32))),
        422,
        "schema-mismatch",
        "extra is not part",
    ),
    "another dtype": (
        lambda device: device.update(changed(**{"head/bias": np.zeros(2)})),
        422,
        "schema-mismatch",
        "head/bias is F64",
    ),
    "another backbone": (
        lambda device: device.update(fingerprint="0" * 64),
        422,
        "schema-mismatch",
        "another backbone",
    ),
    "another version": (
        lambda device: device.update(base_version=4),
        409,
        "stale-update",
        "starts from version 4; the round starts from version 0",
    ),
    "another task": (
        lambda device: device.update(task="parcels"),
        422,
        "schema-mismatch",
        "task parcels",
    ),
    "another device": (
        lambda device: device.update(device="device2"),
        403,
        "wrong-device",
        "device2's",
    ),
    "NaN": (
        lambda device: device.update(changed(**{"head/bias": np.array([0, np.nan], np.float32)})),
        422,
        "not-finite",
        "head/bias holds NaN",
    ),
    "infinity": (
        lambda device: device.update(changed(**{"head/bias": np.array([0, np.inf], np.float32)})),
        422,
        "not-finite",
        "head/bias holds NaN or infinity",
    ),
    "no samples": (
        lambda device: device.update(num_samples=0),
        422,
        "bad-header",
        "num_samples",
    ),
    "negative samples": (
        lambda device: device.update(num_samples=-3),
        422,
        "bad-header",
        "num_samples",
    ),
    "half a sample": (
        lambda device: device.update(num_samples=1.5),
        422,
        "bad-header",
        "num_samples",
    ),
    "no header": (lambda _: save(initial_weights()), 422, "bad-header", "task"),
    "truncated": (
        lambda device: device.update()[:-3],
        422,
        "unreadable-weights",
        "whole safetensors file",
    ),
    "not safetensors": (
        lambda _: b"\x80\x04\x95 I am a pickle",
        422,
        "unreadable-weights",
        "whole safetensors file",
    ),
    "empty": (lambda _: b"", 422, "unreadable-weights", "whole safetensors file"),
}


@pytest.mark.one_database
@pytest.mark.parametrize("case", BODIES)
def test_a_bad_update_changes_nothing(device: ThinDevice, state: Path, case: str) -> None:
    body, status, kind, sentence = BODIES[case]
    before = snapshot(state)
    response = device.send(body(device))
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert response.json["type"] == f"urn:fedbell:problem:{kind}"
    assert sentence in response.json["detail"]
    assert snapshot(state) == before


@pytest.mark.one_database
def test_a_body_above_the_cap(make_app: Callable[..., APIFlask], state: Path) -> None:
    app = make_app(most_upload_bytes=1000)
    device = ThinDevice(app.test_client(), "device1")
    device.status()
    assert device.offer().status_code == 201
    before = snapshot(state)
    response = device.send(bytes(1001))
    assert response.status_code == 413
    assert "MOST_UPLOAD_BYTES" in response.json["detail"]
    assert snapshot(state) == before


@pytest.mark.one_database
def test_nothing_larger_than_the_network_is_taken(device: ThinDevice, state: Path) -> None:
    before = snapshot(state)
    response = device.send(bytes(2 * 1024 * 1024))
    assert response.status_code == 413
    assert "no update of this task's network is larger" in response.json["detail"]
    assert snapshot(state) == before


@pytest.mark.one_database
def test_a_header_that_would_fill_the_memory(device: ThinDevice, state: Path) -> None:
    before = snapshot(state)
    response = device.send((2**40).to_bytes(8, "little") + b"{}")
    assert response.status_code == 422
    assert "header of 1099511627776 bytes" in response.json["detail"]
    assert snapshot(state) == before


@pytest.mark.one_database
@pytest.mark.parametrize(
    "metrics", ["[" * 400, "[" * 100_000, '{"mood": 1}', json.dumps({"loss": [1] * 50})]
)
def test_metrics_are_four_numbers_at_most(device: ThinDevice, state: Path, metrics: str) -> None:
    before = snapshot(state)
    response = device.send(metrics=metrics)
    assert response.status_code == 422
    assert "metrics" in response.json["detail"]
    assert snapshot(state) == before


def test_a_token_belongs_to_one_device(device: ThinDevice) -> None:
    copy = ThinDevice(device.client, "device2")
    copy.token = device.token
    response = copy.status()
    assert response.status_code == 401
    assert "device1's" in response.json["detail"]


def test_a_device_that_is_there_is_not_forgotten(device: ThinDevice) -> None:
    for response in (
        device.client.delete("/devices/device1"),
        device.client.post("/devices/device1/forget"),
    ):
        assert response.status_code == 409
        assert "device1 is online" in response.json["detail"]


def test_sending_when_nobody_can_changes_nothing(device: ThinDevice, state: Path) -> None:
    """But the log tells of it."""
    before = snapshot(state)
    events = before["rows"].pop("events")
    for step in ("modeltrain", "sendmodel"):
        response = device.client.post(f"/{step}")  # nobody listens where the thin device is
        assert response.status_code == 502
        assert "device1 cannot be reached" in response.json["detail"]
        after = snapshot(state)
        (told,) = set(after["rows"].pop("events")) - set(events)
        assert "failed: device1 cannot be reached" in told
        events.append(told)
        assert after == before


def test_an_unknown_device_and_a_wrong_token(device: ThinDevice, state: Path) -> None:
    before = snapshot(state)
    stranger = ThinDevice(device.client, "device9")
    assert stranger.send().status_code == 401
    assert stranger.offer().status_code == 401
    for header in ("", "Bearer", "Basic abc", "Bearer wrong"):
        response = device.client.post("/cmodel", headers={"Authorization": header})
        assert response.status_code == 401
        assert response.content_type == "application/problem+json"
    thief = ThinDevice(device.client, "device1")
    thief.token = "another token that is long enough for one"
    response = thief.status()
    assert response.status_code == 401
    assert "forget" in response.json["detail"]
    assert snapshot(state) == before


@pytest.mark.one_database
def test_a_token_that_could_be_guessed(client: FlaskClient) -> None:
    device = ThinDevice(client, "device1")
    device.token = "short"
    assert device.status().status_code == 401


def test_the_join_token(make_app: Callable[..., APIFlask]) -> None:
    client = make_app(join_token="let me in, please").test_client()
    device = ThinDevice(client, "device1")
    body = {"device": "device1", "url": "http://127.0.0.1:9"}
    for join_token in ("", "wrong"):
        response = client.post(
            "/clientstatus", json=body, headers=device.headers | {"Join-Token": join_token}
        )
        assert response.status_code == 403
    response = client.post(
        "/clientstatus", json=body, headers=device.headers | {"Join-Token": "let me in, please"}
    )
    assert response.status_code == 200
    assert device.status().status_code == 200  # enrolled: its own token is enough


@pytest.mark.one_database
@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.7:8001",  # not where the call comes from
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "http://user:secret@127.0.0.1:9",
        "http://127.0.0.1:9/some/path",
        "http://127.0.0.1:9?x=1",
        "http://127.0.0.1:99999",
        "http://no-such-host.invalid:8001",
        "gopher://127.0.0.1",
    ],
)
def test_an_address_of_somebody_else_is_never_called(device: ThinDevice, url: str) -> None:
    response = device.status(url=url)
    assert response.status_code == 422
    assert response.json["type"] == "urn:fedbell:problem:bad-address"
    assert device.client.get("/devices").json["devices"][0]["url"] == "http://127.0.0.1:9"


@pytest.mark.one_database
def test_a_trusted_host_may_be_elsewhere(make_app: Callable[..., APIFlask]) -> None:
    device = ThinDevice(make_app(device_hosts="doorbell.example").test_client(), "device1")
    assert device.status(url="https://doorbell.example").status_code == 200


def test_aggregating_with_no_update(device: ThinDevice, state: Path) -> None:
    before = snapshot(state)
    response = device.client.post("/aggregate_models")
    assert response.status_code == 409
    assert response.json["missing"] == ["device1"]
    assert "device1" in response.json["detail"]
    assert snapshot(state) == before


def test_too_few_updates_names_who_is_missing(client: FlaskClient) -> None:
    devices = [ThinDevice(client, f"device{n}", "parcels") for n in (1, 2, 3)]
    for each in devices:
        each.status()
    devices[0].offer()
    assert devices[0].send().status_code == 200
    response = client.post("/aggregate_models?task=parcels")
    assert response.status_code == 409
    assert response.json["missing"] == ["device2", "device3"]
    assert devices[1].send().status_code == 200
    assert client.post("/aggregate_models?task=parcels").status_code == 200


def test_a_second_aggregation_while_one_runs(device: ThinDevice, state: Path) -> None:
    device.send()
    lock = try_lock(state / "locks" / "digits.lock")
    assert lock is not None
    response = device.client.post("/aggregate_models")
    assert response.status_code == 409
    assert response.json["type"] == "urn:fedbell:problem:step-running"
    lock.release()
    assert device.client.post("/aggregate_models").status_code == 200


def test_two_aggregations_at_once_make_one_version(
    make_app: Callable[..., APIFlask], device: ThinDevice
) -> None:
    device.send()
    apps = [make_app() for _ in range(4)]
    together = threading.Barrier(len(apps))
    statuses: list[int] = []

    def aggregate(app: APIFlask) -> None:
        together.wait(timeout=10)
        statuses.append(app.test_client().post("/aggregate_models").status_code)

    threads = [threading.Thread(target=aggregate, args=(app,)) for app in apps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(statuses) == [200, 409, 409, 409]
    versions = device.client.get("/models").json["versions"]
    assert [row["version"] for row in versions] == [1, 0]


def test_distributing_before_aggregating(device: ThinDevice) -> None:
    response = device.client.post("/send_model_clients")
    assert response.status_code == 409
    assert "aggregate_models first" in response.json["detail"]


@pytest.mark.one_database
def test_an_unknown_task_names_the_known_ones(client: FlaskClient) -> None:
    for response in (client.post("/modeltrain?task=cats"), client.get("/rounds?task=cats")):
        assert response.status_code == 404
        assert "digits, parcels" in response.json["detail"]


@pytest.mark.one_database
def test_a_file_name_from_a_request_reaches_no_path(device: ThinDevice, state: Path) -> None:
    before = snapshot(state)
    for name in ("../../x", "/etc/passwd", "a/b", "..", "a\x00b", "x" * 100):
        response = device.client.post(
            "/cmodel", query_string={"task": name}, headers=device.headers
        )
        assert response.status_code == 400
        response = device.status(device=name)
        assert response.status_code == 400
    assert snapshot(state) == before


@pytest.mark.one_database
@pytest.mark.parametrize(
    "body",
    [
        "__import__('os').system('true')",
        "[1, 2",
        '["a"]',
        "null",
        '{"url": "http://127.0.0.1:9"}',
        "\x00",
    ],
)
def test_bodies_are_data_and_nothing_else(device: ThinDevice, body: str) -> None:
    response = device.client.post(
        "/clientstatus", data=body, content_type="application/json", headers=device.headers
    )
    assert response.status_code == 400
    assert response.content_type == "application/problem+json"


@pytest.mark.one_database
@pytest.mark.parametrize("rounds", [0, -1, "many", 10**9])
def test_a_bad_number_of_rounds(device: ThinDevice, rounds: Any) -> None:
    response = device.client.post("/run_rounds", json={"rounds": rounds})
    assert response.status_code == 400
    assert "rounds" in response.json["detail"]


def test_numbers_no_database_holds(device: ThinDevice) -> None:
    assert device.client.get(f"/models/{10**30}").status_code == 404
    assert device.client.get(f"/rounds/{10**30}").status_code == 404
    assert device.client.get(f"/rounds?before={10**30}").status_code == 400


def test_who_is_forgotten_meanwhile_needs_the_join_token_again(
    make_app: Callable[..., APIFlask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(join_token="let me in, please")
    client, devices = app.test_client(), app.extensions["fedbell"].devices
    device = ThinDevice(client, "device1")
    body = {"device": "device1"}
    joined = client.post(
        "/clientstatus", json=body, headers=device.headers | {"Join-Token": "let me in, please"}
    )
    assert joined.status_code == 200
    monkeypatch.setattr(devices, "_check_address", lambda *_: devices.forget("device1"))
    stolen = {"Authorization": f"Bearer {'x' * 40}"}
    refused = client.post(
        "/clientstatus", json=body | {"url": "http://127.0.0.1:9"}, headers=stolen
    )
    assert refused.status_code == 403
    assert client.get("/devices").json["devices"] == []


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("caller", "url", "address"),
    [
        ("::ffff:127.0.0.1", "http://127.0.0.1:9", "127.0.0.1"),
        ("fe80::1%lo", "http://[fe80::1]:9", "fe80::1%lo"),
        ("::1", "http://[::1]:9", "::1"),
    ],
)
def test_one_address_is_told_in_several_ways(
    app: APIFlask, caller: str, url: str, address: str
) -> None:
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = caller
    assert ThinDevice(client, "device1").status(url=url).status_code == 200
    (row,) = app.extensions["fedbell"].devices.all()
    assert row.address == address


@pytest.mark.one_database
def test_a_call_through_a_unix_socket_has_no_address(make_app: Callable[..., APIFlask]) -> None:
    client = make_app().test_client()
    client.environ_base["REMOTE_ADDR"] = ""
    device = ThinDevice(client, "device1")
    refused = device.status()
    assert refused.status_code == 422
    assert "DEVICE_HOSTS=127.0.0.1" in refused.json["detail"]
    assert device.status(url=None).status_code == 200  # it comes by itself
    client = make_app(device_hosts="127.0.0.1").test_client()
    client.environ_base["REMOTE_ADDR"] = ""
    assert ThinDevice(client, "device2").status().status_code == 200


@pytest.mark.one_database
def test_a_body_that_is_no_json_and_is_not_told_to_be(client: FlaskClient) -> None:
    for kind in ("text/plain", "multipart/form-data; boundary=x"):
        refused = client.post("/run_rounds", data="rounds: 1", content_type=kind)
        assert refused.status_code == 415
        assert "-H 'Content-Type: application/json'" in refused.json["detail"]
        assert refused.mimetype == "application/problem+json"


def test_other_problems_with_each_heartbeat_fill_no_log(
    app: APIFlask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = app.test_client()
    device = ThinDevice(client, "device1")

    def tell(problem: str, task: str = "digits") -> None:
        tasks = {task: {"num_samples": 1, "problem": problem}}
        assert device.status(tasks=tasks).status_code == 200

    def told() -> list[str]:
        with client.get("/events.txt") as answer:
            return [
                line for line in answer.get_data(as_text=True).splitlines() if "is broken" in line
            ]

    for number in range(5):
        tell(f"{number} is broken")
    tell("a parcel is broken", task="parcels")
    assert [line.rpartition("  ")[2] for line in told()] == ["0 is broken", "a parcel is broken"]
    assert app.extensions["fedbell"].devices.of_task("digits")["device1"].problem == "4 is broken"
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    tell("5 is broken")
    assert len(told()) == 3


@pytest.mark.parametrize("name", ["control:kernel", "kernel@scales"])
def test_a_first_version_whose_arrays_are_called_like_what_goes_with_one(
    client: FlaskClient, name: str
) -> None:
    device = ThinDevice(client, "device1")
    device.status()
    answer = device.offer({name: np.zeros(3, np.float32)})
    assert answer.status_code == 422
    assert answer.json["type"] == "urn:fedbell:problem:bad-array-name"
    assert name in answer.json["detail"]
    assert device.offer().status_code == 201
