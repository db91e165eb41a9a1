"""Who only looks sees no button that would answer 403, and why, on every page."""

from collections.abc import Iterator

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import update

from main_server.server import MainServer
from main_server.store.tables import Device, DeviceTask
from tests.main_server.answering_device import AnsweringDevice
from tests.main_server.conftest import ThinDevice
from tests.main_server.page import Page

from .conftest import ADMIN, VIEWER

_PAGES = ("/", "/?task=parcels", "/weights?task=digits&version=0", "/access", "/strategies")


def pressable(page: Page) -> list[str]:
    """The buttons that change something and can be pressed: what is written on each."""
    return [
        button.text
        for form in page.all("form", method="post")
        if form.attributes["action"] not in ("/logout", "/theme")
        for button in form.all("button")
        if "disabled" not in button.attributes
    ]


def seen_with(client: FlaskClient, path: str, token: str) -> Page:
    headers = {"Accept": "text/html", "Authorization": f"Bearer {token}"}
    return Page.of(client.get(path, headers=headers))


@pytest.fixture
def client(app: APIFlask) -> Iterator[FlaskClient]:
    """Of a main server with a version, a step that failed, a lost device and a rested one."""
    client = app.test_client()
    operator = {"Authorization": f"Bearer {ADMIN}"}
    device = AnsweringDevice(app.test_client(), "device1")
    lost = ThinDevice(app.test_client(), "device2")
    lost.status()
    client.post("/run_rounds?task=digits", headers=operator)
    device.failing["modeltrain"] = ("broken", "The lens is broken.")
    client.post("/modeltrain?task=digits&device=device1", headers=operator)
    server: MainServer = app.extensions["fedbell"]
    with server.database.write() as session:
        session.execute(update(Device).where(Device.name == "device2").values(last_seen=0.0))
        rested = DeviceTask.device == "device1"
        session.execute(update(DeviceTask).where(rested).values(rests_until=9, failures=3))
    yield client
    device.close()


@pytest.mark.parametrize("path", _PAGES)
def test_a_viewer_is_offered_nothing_that_is_refused(client: FlaskClient, path: str) -> None:
    seen = seen_with(client, path, VIEWER)
    assert pressable(seen) == []
    assert "You are logged in as a viewer" in seen.one(id="viewer").text
    for button in seen.all("button", aria_describedby="viewer"):
        assert "disabled" in button.attributes
    operators = seen_with(client, path, ADMIN)
    assert operators.all(id="viewer") == []


def test_a_viewer_reads_all_of_a_strategy_and_chooses_none(client: FlaskClient) -> None:
    card = seen_with(client, "/strategies", VIEWER).one(id="fedprox")
    assert card.all("input") == []
    assert "mu 0.01: How strongly" in card.text
    refused = client.post(
        "/strategy",
        json={"strategy": "fedprox"},
        headers={"Authorization": f"Bearer {VIEWER}"},
    )
    assert refused.status_code == 403
    told = client.get("/strategies", headers={"Authorization": f"Bearer {VIEWER}"}).json
    assert told["in_use"]["strategy"] == "fedavg"


def test_an_operator_is_offered_all_of_it(client: FlaskClient) -> None:
    told = [text for path in _PAGES for text in pressable(seen_with(client, path, ADMIN))]
    for words in ("Retry on device1", "Wake device1", "Forget device2", "Run whole round"):
        assert any(text.startswith(words) for text in told), (words, told)
    for words in ("Model Training", "Promote version 0", "Revoke device1", "Use FedProx from"):
        assert any(text.startswith(words) for text in told), (words, told)
