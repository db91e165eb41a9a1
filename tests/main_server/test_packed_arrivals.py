"""Packed updates of asynchronous tasks: each changes the model as it would if it came unpacked."""

from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient

from shared.federated.weights import open_weights

from .asynchronous import enrolled, kernel, last_round, make_app, newest
from .conftest import initial_weights, snapshot
from .packed_updates import METHODS, files_of_updates, update, what_it_says

__all__ = ["make_app"]


@pytest.mark.parametrize("method", METHODS)
def test_it_is_the_next_version_at_once(client: FlaskClient, state: Path, method: str) -> None:
    device = enrolled(client, "fedasync")
    body = update(device, method)
    answer = device.send(body)
    assert (answer.status_code, answer.json["bytes"]) == (200, len(body))
    said = what_it_says(body, method)["head/kernel"]
    due = (initial_weights()["head/kernel"] + said) / 2  # mixing is a half
    np.testing.assert_allclose(kernel(device), due.ravel(), rtol=1e-6)
    assert last_round(device)["bytes_received"] == len(body)
    assert not files_of_updates(state)
    assert device.send(body).json == answer.json
    assert newest(device) == 1


def test_a_buffer_of_all_kinds(client: FlaskClient, state: Path) -> None:
    """They wait as weights, whatever becomes of the version they started from."""
    device = enrolled(client, "fedbuff")
    bodies = [update(device, method, sequence=number) for number, method in enumerate(METHODS, 1)]
    said = [
        what_it_says(body, method)["head/kernel"]
        for body, method in zip(bodies, METHODS, strict=True)
    ]
    for number, body in enumerate(bodies[:2], 1):
        assert device.send(body).json["bytes"] == len(body)
        assert device.send(body).json["round"] == 1
        assert len(files_of_updates(state)) == number
    for file in files_of_updates(state):
        with open_weights(file) as waiting:
            assert waiting["head/kernel"].tobytes() in {each.tobytes() for each in said}
    assert newest(device) == 0
    assert device.send(bodies[2]).status_code == 200
    base = initial_weights()["head/kernel"]
    due = base + sum(each - base for each in said) / 3
    np.testing.assert_allclose(kernel(device), due.ravel(), rtol=1e-6)
    assert last_round(device)["bytes_received"] == sum(map(len, bodies))
    assert not files_of_updates(state)


@pytest.mark.parametrize("task", ["fedasync", "fedbuff"])
@pytest.mark.parametrize("method", METHODS)
def test_without_its_base_it_is_refused(
    client: FlaskClient, state: Path, task: str, method: str
) -> None:
    device = enrolled(client, task)
    for number in range(3):
        assert device.send(update(device, "none", float(number))).status_code == 200
    made = newest(device)
    before = snapshot(state)
    for told, status, sentence in (
        ({"base_version": made + 1}, 409, f"there is no version {made + 1}"),
        ({"base_version": made + 1, "device": "device2"}, 403, "the token is device1's"),
        ({"base_version": made + 1, "fingerprint": "0" * 64}, 422, "another backbone"),
    ):
        refused = device.send(update(device, method, **told))
        assert (refused.status_code, sentence in refused.json["detail"]) == (status, True)
    assert snapshot(state) == before
    for file in (state / "models" / task).glob("0-*"):
        file.unlink()
    refused = device.send(update(device, method, 5.0))
    assert (refused.status_code, refused.json["base_version"]) == (409, made)
    assert "that version's weights are not here" in refused.json["detail"]
    assert f"(it is packed as {method})" in refused.json["detail"]
