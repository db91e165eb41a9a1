"""The panel of an asynchronous task on the control page."""

import pytest
from flask.testing import FlaskClient

from main_server.pages.arrivals import per_minute

from .asynchronous import enrolled, make_app, push
from .page import look

__all__ = ["make_app"]


def shown(client: FlaskClient, task: str) -> str:
    return " ".join(look(client, f"?task={task}").one(id="round").text.split())


def test_before_anything_came(client: FlaskClient) -> None:
    assert "No update has arrived yet" in shown(client, "fedasync")


def test_what_arrived(client: FlaskClient) -> None:
    device = enrolled(client, "fedasync")
    for number in range(12):
        push(device, 1.0, base=number)
    push(device, 1e6, base=10, samples=1234)
    told = shown(client, "fedasync")
    assert "Updates as they arrive" in told
    assert "13 in the last minute" in told
    assert "1,354 samples so far" in told
    assert "device1 stands out" in told
    assert "is far outside" in told
    assert "12 → 13 2 0.333 1,234" in told
    assert "device1 0 0 → 1" not in told  # only the newest ones
    page = look(client, "?task=fedasync")
    assert not page.root.all(id="run-heading")
    assert not page.root.all(id="step-aggregate_models")


def test_a_buffer(client: FlaskClient) -> None:
    device = enrolled(client, "fedbuff")
    push(device, 1.0, base=0)
    told = shown(client, "fedbuff")
    assert "1 of 3 updates" in told
    assert "0 → buffer" in told


def test_a_synchronous_task_has_its_steps(client: FlaskClient) -> None:
    enrolled(client, "sync")
    assert "Updates as they arrive" not in shown(client, "sync")
    assert look(client, "?task=sync").root.all(id="run-heading")


def test_versions_in_a_minute() -> None:
    assert per_minute([], 1000.0) == 0
    assert per_minute([990.0, 950.0, 900.0], 1000.0) == 2
    # A hundred within 10 seconds are all that was looked at: 600 in a minute.
    assert per_minute([1000.0] * 99 + [990.0], 1000.0) == pytest.approx(600)
