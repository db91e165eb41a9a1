"""Asynchronous tasks: what an update that arrives does, and which ones count."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import text

from main_server.rounds import ABANDONED, DISTRIBUTED, OPEN

from .asynchronous import (
    TASKS,
    enrolled,
    filled,
    kernel,
    last_round,
    make_app,
    newest,
    push,
)
from .conftest import ThinDevice, initial_weights, snapshot, store_of
from .page import look

__all__ = ["make_app"]


@pytest.fixture
def device(client: FlaskClient) -> ThinDevice:
    return enrolled(client, "fedasync")


def rows(state: Path, query: str) -> list[Any]:
    with store_of(state) as connection:
        return [*map(tuple, connection.execute(text(query)))]


def test_an_update_is_the_next_version_at_once(device: ThinDevice, state: Path) -> None:
    body = device.update(filled(8.0))
    assert device.send(body).json == {
        "round": 1,
        "device": "device1",
        "num_samples": 10,
        "bytes": len(body),
    }
    assert kernel(device) == [4.0, 4.5, 5.0, 5.5, 6.0, 6.5]  # half way from 0 … 5 to 8
    row = last_round(device)
    assert (row["status"], row["strategy"]) == (DISTRIBUTED, "fedasync")
    assert (row["base_version"], row["version"]) == (0, 1)
    assert row["updates"]["device1"]["num_samples"] == 10
    assert rows(state, "SELECT number, base_version, weight FROM updates") == [(1, 0, 1.0)]
    # The square root of 8² + 7² + … + 3² and twice 8².
    assert rows(state, "SELECT norm FROM updates") == [(pytest.approx(327**0.5),)]
    assert not [file for file in (state / "updates").rglob("*") if file.is_file()]
    heartbeat = device.status().json["tasks"]["fedasync"]
    assert (heartbeat["version"], heartbeat["distributed_version"]) == (1, 1)
    assert heartbeat["task"]["mode"] == "async"


def test_a_stale_update_counts_less(device: ThinDevice, state: Path) -> None:
    push(device, 8.0, base=0)
    before = np.array(kernel(device))
    push(device, 16.0, base=0, samples=20)
    # One version was made since: its weight is a half, so it moves the model a quarter.
    assert kernel(device) == (0.75 * before + 0.25 * 16).tolist()
    assert rows(state, "SELECT base_version, weight FROM updates WHERE round_id = 2") == [(0, 0.5)]


def test_running_average_counts_samples(client: FlaskClient, state: Path) -> None:
    device = enrolled(client, "average")
    push(device, 6.0, base=0, samples=30)
    assert kernel(device) == [6.0] * 6  # version 0 was trained on nothing
    push(device, 2.0, base=0, samples=10)
    assert kernel(device) == [5.0] * 6  # (30 * 6 + 10 * 2) / 40
    assert rows(state, "SELECT CAST(state AS TEXT) FROM versions ORDER BY version") == [
        (None,),
        ('{"num_samples": 30}',),
        ('{"num_samples": 40}',),
    ]


def test_a_buffer_makes_a_version(client: FlaskClient, state: Path) -> None:
    device, other = enrolled(client, "fedbuff"), enrolled(client, "fedbuff", "device2")
    base = np.array(kernel(device))
    assert [push(device, 3.0, base=0)["round"], push(device, 6.0, base=0)["round"]] == [1, 1]
    assert last_round(device)["status"] == OPEN
    assert newest(device) == 0
    refused = client.post("/aggregate_models?task=fedbuff")
    assert refused.status_code == 409
    assert "3 updates make a version by themselves, and 2 of them are here" in refused.text
    assert push(other, 9.0, base=0)["round"] == 1
    # base + ((3 - base) + (6 - base) + (9 - base)) / 3 is 6
    np.testing.assert_allclose(kernel(device), base + (18 - 3 * base) / 3, rtol=1e-6)
    assert rows(state, "SELECT device, number FROM updates ORDER BY number") == [
        ("device1", 1),
        ("device1", 2),
        ("device2", 3),
    ]
    assert not [file for file in (state / "updates").rglob("*") if file.is_file()]
    assert push(device, 1.0, base=1)["round"] == 2


def test_all_updates_of_a_buffer_are_told(client: FlaskClient) -> None:
    """By device the last one, as where each has one; and those before it."""
    device, other = enrolled(client, "fedbuff"), enrolled(client, "fedbuff", "device2")
    for sender, samples in ((device, 10), (device, 1000), (other, 30)):
        push(sender, float(samples), base=0, samples=samples)
    told = last_round(device)
    assert (told["num_updates"], told["updates"].keys()) == (3, {"device1", "device2"})
    last, only = told["updates"]["device1"], told["updates"]["device2"]
    assert (last["num_samples"], only["num_samples"], only["further"]) == (1000, 30, [])
    (former,) = last["further"]
    assert former["num_samples"] == 10
    assert former.keys() == last.keys() - {"further"}
    assert sum(each["bytes"] for each in (last, only, former)) == told["bytes_received"]
    page = look(client, "?task=fedbuff").one(id="round-1").text
    assert "device1 (10 + 1,000), device2 (30)" in " ".join(page.split())
    compared = client.get("/compare?task=fedbuff&left=1&right=1", headers={"Accept": "text/html"})
    assert "1,010" in compared.text


@pytest.mark.one_database
def test_the_description_tells_of_further_updates(client: FlaskClient) -> None:
    paths = client.get("/openapi.json").json["paths"]
    found = paths["/rounds"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    shown = found["properties"]["rounds"]["items"]["properties"]["updates"]["additionalProperties"]
    assert "further" in shown["properties"]
    assert "$ref" not in str(found)


@pytest.mark.parametrize("task", ["fedasync", "average", "fedbuff"])
def test_sent_twice_it_counts_once(client: FlaskClient, state: Path, task: str) -> None:
    device = enrolled(client, task)
    body = device.update(filled(3.0))
    first = device.send(body)
    before = snapshot(state)
    again = device.send(body)
    assert (again.status_code, again.json) == (200, first.json)
    assert snapshot(state) == before
    for number in range(8):  # by then it is too stale, and still the same answer
        push(device, float(number), base=newest(device))
    assert device.send(body).json == first.json


def test_equal_trainings_are_two_updates(device: ThinDevice) -> None:
    push(device, 8.0, base=0, sequence=1)
    push(device, 8.0, base=0, sequence=2)
    assert newest(device) == 2


def test_too_stale_an_update_is_refused(device: ThinDevice, state: Path) -> None:
    for number in range(4):
        push(device, float(number), base=number)
    before = snapshot(state)
    refused = device.send(base_version=0)
    assert refused.status_code == 409
    assert refused.json["type"] == "urn:fedbell:problem:stale-update"
    assert refused.json["base_version"] == 4
    assert "at most 3 versions" in refused.json["detail"]
    assert "The newest is version 4: device1 has to pull it" in refused.json["detail"]
    never = device.send(base_version=9)
    assert (never.status_code, never.json["base_version"]) == (409, 4)
    assert "there is no version 9" in never.json["detail"]
    assert snapshot(state) == before
    push(device, 1.0, base=1)


def test_in_another_name_or_of_another_network(device: ThinDevice, state: Path) -> None:
    before = snapshot(state)
    assert device.send(device="device2").status_code == 403
    assert device.send(fingerprint="0" * 64).status_code == 422
    bad = initial_weights() | {"head/bias": np.array([np.nan, 0], np.float32)}
    refused = device.send(device.update(bad))
    assert (refused.status_code, refused.json["type"]) == (422, "urn:fedbell:problem:not-finite")
    assert snapshot(state) == before


def test_a_promotion_begins_anew(client: FlaskClient) -> None:
    device = enrolled(client, "fedbuff")
    for number in range(4):
        push(device, float(number), base=0)
    assert (newest(device), last_round(device)["status"]) == (1, OPEN)
    assert client.post("/models/0/promote?task=fedbuff").json["version"] == 2
    assert last_round(device)["status"] == ABANDONED
    assert kernel(device) == kernel(device, 0)
    refused = device.send(device.update(filled(9.0), base_version=1))
    assert refused.status_code == 409
    assert "version 2 was promoted since" in refused.json["detail"]
    # What waited in the buffer did not count: sent again it would, but it is of before.
    assert device.send(device.update(filled(3.0))).status_code == 409
    for number in range(3):
        push(device, float(number), base=2)
    assert newest(device) == 3


def test_the_average_goes_back_with_a_promotion(client: FlaskClient) -> None:
    device = enrolled(client, "average")
    push(device, 6.0, base=0, samples=30)
    push(device, 2.0, base=1, samples=10)
    client.post("/models/1/promote?task=average")
    push(device, 0.0, base=3, samples=30)
    assert kernel(device) == [3.0] * 6
    client.post("/models/0/promote?task=average")
    push(device, 7.0, base=5, samples=1)
    assert kernel(device) == [7.0] * 6  # nobody has trained version 0


def test_there_are_no_steps(device: ThinDevice) -> None:
    client = device.client
    refused = client.post("/aggregate_models?task=fedasync")
    assert refused.status_code == 409
    assert "every update that arrives is the next version at once" in refused.json["detail"]
    refused = client.post("/run_rounds?task=fedasync", json={"rounds": 2})
    assert refused.status_code == 409
    assert "it has no rounds to run" in refused.json["detail"]


def test_a_rule_may_change_while_updates_wait(
    client: FlaskClient, make_app: Callable[..., APIFlask]
) -> None:
    device = enrolled(client, "fedbuff")
    push(device, 3.0, base=0, samples=10)
    push(device, 9.0, base=0, samples=20)
    changed = TASKS.replace('rule = "fedbuff"', 'rule = "running_average"')
    device.client = make_app(changed).test_client()
    push(device, 6.0, base=0, samples=30)
    assert kernel(device) == [6.5] * 6  # (10 * 3 + 20 * 9 + 30 * 6) / 60


def test_a_task_may_become_asynchronous(
    client: FlaskClient, make_app: Callable[..., APIFlask]
) -> None:
    device = enrolled(client, "sync")
    push(device, 4.0, base=0, samples=30)
    assert client.post("/aggregate_models?task=sync").json["version"] == 1
    told = 'mode = "async"\nasynchronous = {rule = "running_average"}\n'
    device.client = make_app(TASKS.replace("keep = {last = 2}\n", told)).test_client()
    push(device, 0.0, base=1, samples=10)
    assert kernel(device) == [3.0] * 6  # (30 * 4 + 10 * 0) / 40


def test_who_stands_out_is_told_and_counts(device: ThinDevice, state: Path) -> None:
    for number in range(6):
        push(device, 1.0, base=number)
    assert rows(state, "SELECT count(*) FROM updates WHERE outlier IS NOT NULL") == [(0,)]
    push(device, 1e6, base=6)
    ((told,),) = rows(state, "SELECT outlier FROM updates WHERE outlier IS NOT NULL")
    assert "is far outside" in told
    events = rows(state, "SELECT device, message FROM events WHERE kind = 'update_outlier'")
    assert events == [("device1", f"an update of device1 stands out. {told}")]
    assert newest(device) == 7


@pytest.mark.one_database
@pytest.mark.parametrize("task", ["fedasync", "fedbuff"])
def test_a_change_that_no_training_makes_is_refused(client: FlaskClient, task: str) -> None:
    device = enrolled(client, task)
    for number in range(3):
        refused = device.send(device.update(filled(3e38), sequence=number + 1))
        assert refused.status_code == 422
        assert "no training leads so far" in refused.json["detail"]
    assert newest(device) == 0


def test_what_waits_counts_when_a_task_becomes_synchronous(
    client: FlaskClient, make_app: Callable[..., APIFlask]
) -> None:
    device = enrolled(client, "fedbuff")
    push(device, 3.0, base=0, samples=10)
    push(device, 9.0, base=0, samples=20)
    started = TASKS.index("[tasks.fedbuff]")
    before, here = TASKS[:started], TASKS[started:]
    device.client = make_app(before + here.replace('mode = "async"\n', "", 1)).test_client()
    answer = device.client.post("/aggregate_models?task=fedbuff")
    assert (answer.json["strategy"], answer.json["updates"]) == ("fedavg", 2)
    assert kernel(device) == [7.0] * 6  # (10 * 3 + 20 * 9) / 30


def test_the_average_counts_what_led_to_its_version(
    client: FlaskClient, make_app: Callable[..., APIFlask]
) -> None:
    """Not what a promotion took back; rounds of the time when the task was synchronous do."""
    device = enrolled(client, "average")
    push(device, 6.0, base=0, samples=10)
    push(device, 9.0, base=1, samples=1000)
    client.post("/models/1/promote?task=average")  # version 3
    told = 'mode = "async"\nasynchronous = {rule = "running_average"}\n'
    device.client = make_app(TASKS.replace(told, "")).test_client()
    push(device, 6.0, base=3, samples=10, sequence=3)
    assert device.client.post("/aggregate_models?task=average").json["version"] == 4
    device.client = make_app(TASKS).test_client()
    push(device, 0.0, base=4, samples=20, sequence=4)
    assert kernel(device) == [3.0] * 6  # (20 * 6 + 20 * 0) / 40
