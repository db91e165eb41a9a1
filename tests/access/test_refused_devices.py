"""Devices that are refused: in the log, once for each wrong token; guessing is slow."""

import time
from collections.abc import Callable

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shared.web.access.attempts import FREE_ATTEMPTS
from tests.main_server.conftest import ThinDevice

from .conftest import ADMIN
from .test_people import bearer, log

JOIN = "what new devices know"


@pytest.fixture
def client(make_app: Callable[..., APIFlask]) -> FlaskClient:
    """Of a main server that asks for a join token."""
    return make_app(admin_token=ADMIN, join_token=JOIN).test_client()


def join(client: FlaskClient, name: str, token: str) -> TestResponse:
    headers = ThinDevice(client, name).headers | {"Join-Token": token}
    return client.post("/clientstatus", json={"device": name}, headers=headers)


def refusals(client: FlaskClient) -> list[str]:
    return [line for line in log(client, token=ADMIN).splitlines() if " from 127.0.0.1 " in line]


def test_guessing_the_join_token_is_slow(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert join(client, "old", JOIN).status_code == 200
    for number in range(FREE_ATTEMPTS):
        assert join(client, "new", f"guess {number}").status_code == 403
    for token in (JOIN, "another guess"):
        waits = join(client, "new", token)
        assert waits.status_code == 429
        assert 0 < int(waits.headers["Retry-After"]) <= 10
    # Who is enrolled does not wait, nor do people, nor whoever comes from elsewhere.
    assert ThinDevice(client, "old").status().status_code == 200
    assert client.get("/devices", headers=bearer(ADMIN)).status_code == 200
    told = [line for line in refusals(client) if "The join token is wrong" in line]
    assert len(told) == FREE_ATTEMPTS
    assert "Give new this federation's join token" in told[0]
    assert "devices at 127.0.0.1" in client.get("/access", headers=bearer(ADMIN)).text
    later = time.time() + 11
    monkeypatch.setattr(time, "time", lambda: later)
    assert join(client, "new", JOIN).status_code == 200


def test_who_beats_on_fills_no_log_and_blocks_nobody(client: FlaskClient) -> None:
    for name in ("device1", "device2"):
        assert join(client, name, JOIN).status_code == 200
    client.post("/devices/device1/revoke", headers=bearer(ADMIN))
    revoked, lost = ThinDevice(client, "device1"), ThinDevice(client, "device2")
    lost.token = "a token made anew".ljust(40, "-")
    for _ in range(3 * FREE_ATTEMPTS):
        assert revoked.status().status_code == 401
        assert lost.status().status_code == 401
        assert revoked.send(b"").status_code == 401
        assert join(client, "without", "").status_code == 403
    assert ThinDevice(client, "device2").status().status_code == 200
    assert join(client, "device3", JOIN).status_code == 200
    told = refusals(client)
    for sentence in ("The token of device1 was revoked,", "device2 is enrolled with another token"):
        assert sum(sentence.rstrip(",") in line for line in told) <= 2
        assert any(sentence.rstrip(",") in line for line in told)
    assert sum("Give without this" in line for line in told) == 1


def test_wrong_tokens_of_devices_fill_no_log(client: FlaskClient) -> None:
    device = ThinDevice(client, "device1")
    for number in range(3 * FREE_ATTEMPTS):
        device.token = f"guess {number}".ljust(40, "-")
        assert device.send(b"").status_code == 401
    told = [line for line in refusals(client) if "No enrolled device holds this token" in line]
    assert len(told) == FREE_ATTEMPTS
