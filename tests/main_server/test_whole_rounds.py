"""Whole rounds, and what remains of one that was begun step by step."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from .answering_device import AnsweringDevice

ALL = ["modeltrain", "sendmodel", "aggmodel"]


@pytest.fixture
def devices(client: FlaskClient) -> Iterator[list[AnsweringDevice]]:
    made = [AnsweringDevice(client, name) for name in ("device1", "device2")]
    yield made
    for each in made:
        each.close()


def finish(client: FlaskClient, rounds: int = 1) -> list[dict[str, Any]]:
    answer = client.post("/run_rounds", json={"rounds": rounds, "finish": True})
    assert answer.status_code == 200, answer.text
    told: list[dict[str, Any]] = answer.json["rounds"]
    return told


@pytest.mark.parametrize("done", [0, 1, 2, 3, 4])
def test_what_remains_of_a_round(
    client: FlaskClient, devices: list[AnsweringDevice], done: int
) -> None:
    steps = ("modeltrain", "sendmodel", "aggregate_models", "send_model_clients")
    for step in steps[:done]:
        assert client.post(f"/{step}").status_code == 200
    (told,) = finish(client)
    number = 2 if done == len(steps) else 1
    assert (told["round"], told["version"], told["updates"]) == (number, number, 2)
    assert told["errors"] == {}
    assert told["evaluation"]["num_samples"] == 8
    assert all(device.asked == ALL * number for device in devices), "nothing was done twice"
    assert [row["status"] for row in client.get("/rounds").json["rounds"]] == (
        ["distributed"] * number
    )


def test_the_rounds_after_it_are_whole(client: FlaskClient, devices: list[AnsweringDevice]) -> None:
    client.post("/modeltrain")
    assert [each["round"] for each in finish(client, 3)] == [1, 2, 3]
    assert all(device.asked == ALL * 3 for device in devices)


def test_who_has_failed_is_asked_again_and_the_others_are_not(
    client: FlaskClient, devices: list[AnsweringDevice]
) -> None:
    first, second = devices
    second.failing["modeltrain"] = ("broken", "The lens is broken.")
    client.post("/modeltrain")
    client.post("/sendmodel")
    (told,) = finish(client)
    assert told["errors"] == {"modeltrain on device2": "The lens is broken."}
    assert told["updates"] == 1
    assert first.asked == ALL
    second.failing.clear()
    second.failing["sendmodel"] = ("broken", "The cable is broken.")
    client.post("/modeltrain")
    client.post("/sendmodel")
    del second.failing["sendmodel"]
    (told,) = finish(client)
    assert (told["errors"], told["updates"]) == ({}, 2)
    assert first.asked == ALL * 2


def test_a_device_that_lost_what_it_trained_trains_again(
    client: FlaskClient, devices: list[AnsweringDevice]
) -> None:
    """Its state was deleted between the steps: nobody has anything to send."""
    client.post("/modeltrain")
    for device in devices:
        device.forget_training()
    assert client.post("/sendmodel").status_code == 502
    (told,) = finish(client)
    assert (told["round"], told["updates"], told["errors"]) == (1, 2, {})


def test_all_that_is_missing_is_away(client: FlaskClient, devices: list[AnsweringDevice]) -> None:
    """The round goes on with what is here; where nothing is here, it says so."""
    client.post("/modeltrain")
    devices[1].failing["sendmodel"] = ("broken", "The cable is broken.")
    (told,) = finish(client)
    assert told["errors"] == {"sendmodel on device2": "The cable is broken."}
    client.post("/modeltrain")
    for device in devices:
        device.failing["sendmodel"] = ("broken", "The cable is broken.")
    answer = client.post("/run_rounds", json={"rounds": 1, "finish": True})
    assert answer.json["type"] == "urn:fedbell:problem:every-device-failed"
