"""When an update did not come: it is sent again, or where it is no use, trained again."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from .answering_device import AnsweringDevice
from .page import look

TRAIN, SEND = "Model Training (Locally)", "Send Model to Federated Server"


@pytest.fixture
def device(client: FlaskClient) -> Iterator[AnsweringDevice]:
    made = AnsweringDevice(client, "device1")
    yield made
    made.close()


def next_step(client: FlaskClient) -> str:
    return look(client).one(id="round").one(class_="btn-primary").text


@pytest.mark.parametrize(
    ("adds", "header", "kind"),
    [
        (float("nan"), {}, "not-finite"),
        (1.0, {"fingerprint": "0" * 64}, "schema-mismatch"),
        (1.0, {"num_samples": -1}, "bad-header"),
        (1.0, {"device": "device2"}, "wrong-device"),
        (1.0, {"base_version": 7}, "stale-update"),
    ],
)
def test_what_was_refused_for_its_content_is_trained_again(
    client: FlaskClient, device: AnsweringDevice, adds: float, header: dict[str, Any], kind: str
) -> None:
    client.post("/modeltrain")
    device.adds, device.sends = adds, header
    assert client.post("/sendmodel").status_code == 502
    problem = client.get("/rounds/1").json["steps"]["sendmodel"]["device1"]["problem"]
    assert problem["type"] == f"urn:fedbell:problem:{kind}"
    assert next_step(client) == TRAIN
    device.adds, device.sends = 1.0, {}
    assert client.post("/modeltrain").status_code == 200
    assert next_step(client) == SEND
    answer = client.post("/run_rounds", json={"rounds": 1, "finish": True})
    assert answer.json["rounds"][0]["version"] == 1


def test_to_finish_a_round_it_is_trained_again(
    client: FlaskClient, device: AnsweringDevice
) -> None:
    client.post("/modeltrain")
    device.adds = float("inf")
    client.post("/sendmodel")
    device.adds = 1.0
    answer = client.post("/run_rounds", json={"rounds": 1, "finish": True})
    assert answer.json["rounds"][0]["updates"] == 1
    assert device.asked.count("modeltrain") == 2


def test_what_a_device_cannot_send_for_a_reason_of_its_own_is_trained_again(
    client: FlaskClient, device: AnsweringDevice
) -> None:
    client.post("/modeltrain")
    device.failing["sendmodel"] = ("unreadable-weights", "The file is damaged.")
    client.post("/sendmodel")
    assert next_step(client) == TRAIN


@pytest.mark.parametrize(
    "kind", ["main-server-away", "main-server-failed", "unexpected", "step-running", "disk-full"]
)
def test_what_did_not_come_through_is_sent_again(
    client: FlaskClient, device: AnsweringDevice, kind: str
) -> None:
    client.post("/modeltrain")
    device.failing["sendmodel"] = (kind, "It did not come through.")
    client.post("/sendmodel")
    assert next_step(client) == SEND
    device.failing.clear()
    client.post("/run_rounds", json={"rounds": 1, "finish": True})
    assert device.asked.count("modeltrain") == 1


def test_a_device_that_is_away_sends_when_it_is_back(
    client: FlaskClient, device: AnsweringDevice
) -> None:
    client.post("/modeltrain")
    told = {"digits": {"num_samples": 10}}
    device.status(tasks=told)  # where nobody listens
    assert client.post("/sendmodel").status_code == 502
    assert next_step(client) == SEND
    device.beat()
    assert client.post("/sendmodel").status_code == 200
