"""What must not grow with the number of devices."""

import threading
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from main_server.store.tables import ReceivedUpdate
from tests.main_server.conftest import ThinDevice

DEVICES = 6


@pytest.fixture
def updates_read() -> Iterator[list[ReceivedUpdate]]:
    """Every row of an update that this thread reads from the store."""
    read: list[ReceivedUpdate] = []
    here = threading.get_ident()

    def note(update: ReceivedUpdate, query: object) -> None:
        # None: made by a merge, of nothing that was stored.
        if query is not None and threading.get_ident() == here:
            read.append(update)

    event.listen(ReceivedUpdate, "load", note)
    yield read
    event.remove(ReceivedUpdate, "load", note)


def test_an_update_is_received_without_reading_those_before(
    client: FlaskClient, updates_read: list[ReceivedUpdate]
) -> None:
    for number in range(DEVICES):
        device = ThinDevice(client, f"device{number}")
        assert device.status().status_code == 200
        if number == 0:
            assert device.offer().status_code == 201
        assert device.send().get_json()["round"] == 1
    assert updates_read == []
    answer = client.post("/aggregate_models")
    assert answer.get_json()["updates"] == DEVICES
    assert len(updates_read) >= DEVICES, "so this test would see it"
