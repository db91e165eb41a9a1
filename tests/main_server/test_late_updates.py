"""Late updates that are merged: how late they may be, and what is known of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .answering_device import AnsweringDevice
from .conftest import initial_weights
from .deadlines import open_server

NEWEST = 6
ROUNDS = 'late_updates = "merge"\nmost_staleness = 3'
KEPT = "keep = { last = 1, best = false }"


@pytest.fixture
def device(tmp_path: Path) -> Iterator[AnsweringDevice]:
    """device1 after six rounds of a task that keeps few versions."""
    device = AnsweringDevice(open_server(tmp_path, ROUNDS, extra=KEPT), "device1")
    try:
        for _ in range(NEWEST):
            device.train()
            assert device.send_trained().status_code == 200
            assert device.client.post("/aggregate_models").status_code == 200
            assert device.client.post("/send_model_clients").status_code == 200
        yield device
    finally:
        device.close()


def send(device: AnsweringDevice, more: float, base: int) -> Any:
    weights = {name: array + np.float32(more) for name, array in initial_weights().items()}
    return device.send(device.update(weights, base_version=base))


def _updates(device: AnsweringDevice) -> dict[str, Any]:
    """Of the round after the newest version, by device."""
    told: Any = device.client.get(f"/rounds/{NEWEST + 1}").json
    return dict(told.get("updates", {}))


@pytest.mark.usefixtures("device")
def test_the_weights_are_kept_that_they_may_start_from(tmp_path: Path) -> None:
    files = (tmp_path / "state" / "models" / "digits").glob("*.safetensors")
    assert {int(file.name.partition("-")[0]) for file in files} == {0, 3, 4, 5, 6}


def test_what_is_too_late_is_refused(device: AnsweringDevice) -> None:
    for base in (0, 1, 2):
        answer = send(device, 1, base)
        assert answer.status_code == 409
        assert answer.json["type"] == "urn:fedbell:problem:stale-update"
        assert "At most 3 versions may be newer" in answer.json["detail"]
        assert answer.json["base_version"] == NEWEST
    assert send(device, 1, NEWEST - 3).status_code == 200


def test_the_norm_of_each_is_known(device: AnsweringDevice) -> None:
    for base in range(NEWEST - 3, NEWEST + 1):
        assert send(device, 1, base).status_code == 200
    told = _updates(device)["device1"]
    updates = [told, *told["further"]]
    assert len(updates) == 4
    assert all(each["norm"] > 0 for each in updates)


def test_no_training_leads_so_far_late_or_not(device: AnsweringDevice) -> None:
    for base in range(NEWEST - 3, NEWEST + 1):
        answer = send(device, 3e38, base)
        assert answer.status_code == 422, base
        assert "no training leads so far" in answer.json["detail"]
    assert not _updates(device)
