"""What a main server that went back to a backup tells devices which know later versions."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from .asynchronous import enrolled, make_app
from .conftest import ThinDevice, snapshot

__all__ = ["make_app"]


def sha256(device: ThinDevice) -> str:
    """Of the newest version."""
    row = device.client.get(f"/models?task={device.task}").json["versions"][0]
    return str(row["sha256"])


@pytest.mark.parametrize("task", ["sync", "fedasync", "fedbuff"])
def test_an_update_of_another_version_of_that_number_is_refused(
    client: FlaskClient, state: Path, task: str
) -> None:
    device = enrolled(client, task)
    before = snapshot(state)
    refused = device.send(base_sha256="f" * 64)
    assert (refused.status_code, refused.json["base_version"]) == (409, 0)
    assert refused.json["type"] == "urn:fedbell:problem:other-base"
    assert "has to pull" in refused.json["detail"]
    assert snapshot(state) == before
    assert device.send(base_sha256=sha256(device)).status_code == 200


def test_a_heartbeat_tells_whether_an_update_is_here(client: FlaskClient) -> None:
    device, other = enrolled(client, "sync"), enrolled(client, "sync", "device2")

    def told(by: ThinDevice) -> tuple[int, bool]:
        told = by.status().json["tasks"]["sync"]["round"]
        return told["number"], told["sent"]

    assert told(device) == (1, False)
    device.send()
    assert (told(device), told(other)) == ((1, True), (1, False))
    client.post("/aggregate_models?task=sync")
    assert told(device) == (2, False)
    assert enrolled(client, "average").status().json["tasks"]["average"]["round"] is None
