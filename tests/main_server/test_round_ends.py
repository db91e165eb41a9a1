"""Rounds that wait to be sent out wait no longer than there is something to send."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import update

from main_server.rounds import ABANDONED, AGGREGATED, DISTRIBUTED
from main_server.store.tables import Round

from .answering_device import EVALUATION, AnsweringDevice
from .conftest import store_of
from .page import Page, look

PAGE = {"Accept": "text/html"}


@pytest.fixture
def devices(client: FlaskClient) -> Iterator[list[AnsweringDevice]]:
    made = [AnsweringDevice(client, name) for name in ("device1", "device2")]
    yield made
    for each in made:
        each.close()


@pytest.fixture
def aggregated(client: FlaskClient, devices: list[AnsweringDevice]) -> list[AnsweringDevice]:
    """Round 2 has made version 2, which is not sent out."""
    client.post("/run_rounds")
    for step in ("modeltrain", "sendmodel", "aggregate_models"):
        assert client.post(f"/{step}").status_code == 200
    assert status(client) == AGGREGATED
    return devices


def status(client: FlaskClient, number: int = 2) -> str:
    told: str = client.get(f"/rounds/{number}").json["status"]
    return told


def next_step(client: FlaskClient) -> list[str]:
    return [each.text for each in look(client).one(id="round").all(class_="btn-primary")]


def set_status(state: Path, told: str) -> None:
    """As an earlier server left it."""
    with store_of(state) as connection:
        connection.execute(update(Round).where(Round.number == 2).values(status=told))


@pytest.mark.usefixtures("aggregated")
def test_after_a_promotion_the_next_round_begins(client: FlaskClient) -> None:
    asks = Page.of(client.get("/weights?task=digits&version=1", headers=PAGE)).root.text
    assert "Round 2 is not sent out yet and is abandoned then: its version 2 does not" in asks
    assert client.post("/models/1/promote").json["version"] == 3
    assert status(client) == ABANDONED
    assert next_step(client) == ["Model Training (Locally)"]
    page = look(client)
    assert "Round 2 abandoned" in page.one(id="round").text
    assert page.one(id="round-2").text.startswith("2 – – 1 → 2 abandoned device1 (10)")
    for path in ("/compare?task=digits&left=1&right=2", "/weights?task=digits&version=2"):
        assert client.get(path, headers=PAGE).status_code == 200
    answer = client.post("/run_rounds", json={"rounds": 1, "finish": True})
    assert answer.json["rounds"][0]["version"] == 4
    assert status(client, 3) == DISTRIBUTED


@pytest.mark.usefixtures("aggregated")
def test_a_store_in_which_a_round_waits_for_ever_gets_out(
    client: FlaskClient, make_app: Callable[..., APIFlask], state: Path
) -> None:
    client.post("/models/1/promote")
    set_status(state, AGGREGATED)
    again = make_app().test_client()
    assert status(again) == ABANDONED
    assert next_step(again) == ["Model Training (Locally)"]


@pytest.mark.parametrize(
    "told", [{"version": 2}, {"version": 1, "evaluation": EVALUATION | {"version": 2}}]
)
def test_a_version_that_a_device_has_is_distributed(
    client: FlaskClient, aggregated: list[AnsweringDevice], told: dict[str, Any]
) -> None:
    """Its answer was lost, say: nobody is told to send first what is there."""
    first, second = aggregated
    first.beat(version=1)
    assert status(client) == AGGREGATED
    assert next_step(client) == ["Send Aggregated Models to Federated Clients"]
    answer = first.beat(**told)
    assert status(client) == DISTRIBUTED
    assert next_step(client) == ["Model Training (Locally)"]
    assert answer.json["tasks"]["digits"]["distributed_version"] == 2
    assert second.beat().json["tasks"]["digits"]["distributed_version"] == 2


def test_a_promotion_leaves_a_round_distributed_that_a_device_has(
    client: FlaskClient, aggregated: list[AnsweringDevice], state: Path
) -> None:
    aggregated[0].beat(version=2)
    set_status(state, AGGREGATED)
    client.post("/models/1/promote")
    assert status(client) == DISTRIBUTED


def test_at_the_start_it_is_looked_at_what_devices_have(
    make_app: Callable[..., APIFlask], aggregated: list[AnsweringDevice], state: Path
) -> None:
    make_app()
    assert status(aggregated[0].client) == AGGREGATED, "nobody has it"
    aggregated[0].beat(version=2)
    set_status(state, AGGREGATED)
    assert status(make_app().test_client()) == DISTRIBUTED
