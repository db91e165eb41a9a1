"""Which devices a step is for: a reservation keeps none from it, a problem does."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from .answering_device import AnsweringDevice
from .page import look

UNMEASURED = "Version 0 could not be measured: there is no test picture yet."


@pytest.fixture
def device(client: FlaskClient) -> Iterator[AnsweringDevice]:
    made = AnsweringDevice(client, "device1")
    yield made
    made.close()


def test_a_device_that_cannot_be_measured_takes_every_step(
    client: FlaskClient, device: AnsweringDevice
) -> None:
    assert device.beat(version=0, reservation=UNMEASURED).status_code == 200
    page = look(client)
    assert page.one(id="round").one(class_="btn-primary").text == "Model Training (Locally)"
    card = page.one(id="device-device1")
    assert UNMEASURED in card.text
    assert "not ready" not in card.text
    told = client.get("/devices").json["devices"][0]["tasks"]["digits"]
    assert (told["problem"], told["reservation"]) == (None, UNMEASURED)
    client.post("/modeltrain")
    answer = client.post("/run_rounds", json={"rounds": 1, "finish": True})
    assert answer.json["rounds"][0]["updates"] == 1
    device.beat(version=0)
    assert UNMEASURED not in look(client).one(id="device-device1").text


def test_to_finish_a_round_asks_it_too(client: FlaskClient, device: AnsweringDevice) -> None:
    other = AnsweringDevice(client, "device2")
    try:
        device.beat(reservation=UNMEASURED)
        client.post("/modeltrain?device=device2")
        answer = client.post("/run_rounds", json={"rounds": 1, "finish": True})
        assert answer.json["rounds"][0]["updates"] == 2
    finally:
        other.close()


def test_a_device_with_a_problem_is_not_ready(client: FlaskClient, device: AnsweringDevice) -> None:
    device.beat(problem="Clean the lens.", reservation=UNMEASURED)
    card = look(client).one(id="device-device1").text
    assert "not ready Clean the lens." in card
    assert UNMEASURED not in card
    assert not look(client).one(id="round").all(class_="btn-primary")


def test_a_reservation_is_a_sentence_not_a_book(
    client: FlaskClient, device: AnsweringDevice
) -> None:
    assert device.beat(reservation="x" * 2000).status_code == 200
    assert device.beat(reservation="x" * 2001).status_code == 400
    device.beat(reservation="<script>alert(1)</script>")
    assert "<script>alert" not in client.get("/").text
