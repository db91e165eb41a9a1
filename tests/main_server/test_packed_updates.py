"""Packed updates at the main server: unpacked as they come, and counted as all others are."""

import hashlib
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from shared.federated.update import PackingName, UpdateHeader
from shared.federated.weights import open_weights
from tests.federated.packed import f16, f32, i8, normal, packed, u32

from .asynchronous import kernel
from .conftest import ThinDevice, initial_weights, snapshot, store_of
from .deadlines import open_server
from .packed_updates import ALL, METHODS, files_of_updates, header, trained, update, what_it_says


@pytest.mark.parametrize("method", ALL)
def test_it_counts_in_a_round(device: ThinDevice, state: Path, method: str) -> None:
    client, other = device.client, ThinDevice(device.client, "device2")
    other.status()
    body, plain = update(device, method), update(other, "none", 2.0, num_samples=30)
    answer = device.send(body)
    assert answer.json == {
        "round": 1,
        "device": "device1",
        "num_samples": 10,
        "bytes": len(body),
    }
    said = what_it_says(body, method)
    (kept,) = files_of_updates(state)
    assert hashlib.sha256(body).hexdigest()[:16] in kept.name
    with open_weights(kept) as file:
        assert UpdateHeader.parse(file.metadata) == header(device, said)
        for name, array in file.items():
            assert array.tobytes() == said[name].tobytes()
    with store_of(state) as connection:
        (norm,) = connection.execute(text("SELECT norm FROM updates")).scalars()
    moved = [said[name] - array for name, array in initial_weights().items()]
    assert norm == pytest.approx(sum(float((each**2).sum()) for each in moved) ** 0.5, rel=1e-6)
    assert other.send(plain).status_code == 200
    assert client.post("/aggregate_models").json["version"] == 1
    due = (10 * said["head/kernel"] + 30 * trained(2.0)["head/kernel"]) / 40
    np.testing.assert_allclose(kernel(device, 1), due.ravel(), rtol=1e-6)
    assert client.get("/rounds/1").json["bytes_received"] == len(body) + len(plain)


def test_packed_ones_are_close_to_what_was_trained(device: ThinDevice) -> None:
    """And fewer numbers differ the fewer bytes there are."""
    told = {method: what_it_says(update(device, method), method) for method in METHODS}
    errors = {
        method: max(np.abs(told[method][name] - array).max() for name, array in trained(1).items())
        for method in METHODS
    }
    assert errors["float16"] < 2**-11
    assert errors["int8"] <= 1 / 127
    assert errors["top_k"] < 0.5  # half of the numbers, the larger ones, are as they were


@pytest.mark.parametrize("method", METHODS)
def test_sent_twice_it_counts_once(device: ThinDevice, state: Path, method: str) -> None:
    body = update(device, method)
    first = device.send(body)
    before = snapshot(state)
    again = device.send(body)
    assert (again.status_code, again.json) == (200, first.json)
    assert snapshot(state) == before
    device.client.post("/aggregate_models")
    late = device.send(body)
    assert (late.status_code, late.json) == (200, first.json)
    other = device.send(update(device, method, 2.0, base_version=1))
    assert (other.status_code, other.json["round"]) == (200, 2)


@pytest.mark.parametrize("method", METHODS)
def test_the_refusals_are_those_of_all_updates(
    device: ThinDevice, state: Path, method: str
) -> None:
    """The version it started from is known, or not: nothing depends on whether it is packed."""
    device.send(update(device, "none"))
    device.client.post("/aggregate_models")
    before = snapshot(state)
    for told, status, kind in (
        ({"base_version": 0}, 409, "stale-update"),
        ({"base_version": 9}, 409, "stale-update"),
        ({"base_version": 1, "base_sha256": "f" * 64}, 409, "other-base"),
        ({"base_version": 9, "device": "device2"}, 403, "wrong-device"),
        ({"base_version": 1, "device": "device2"}, 403, "wrong-device"),
        ({"base_version": 9, "fingerprint": "0" * 64}, 422, "schema-mismatch"),
        ({"base_version": 1, "task": "parcels"}, 422, "schema-mismatch"),
    ):
        plain, refused = (
            device.send(update(device, each, 3.0, **told)) for each in ("none", method)
        )
        assert (refused.status_code, refused.json) == (plain.status_code, plain.json), told
        assert (refused.status_code, refused.json["type"]) == (
            status,
            f"urn:fedbell:problem:{kind}",
        )
    assert snapshot(state) == before


#: What is wrong with a body, the packing it says it has, and what is said of it.
WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("float16", {"head/kernel": f16(*range(6)).reshape(3, 2)}, 422, "head/bias is missing"),
    (
        "float16",
        {"head/kernel": f16(*range(6)).reshape(3, 2), "head/bias": f16(np.nan, 0)},
        422,
        "head/bias, packed as float16, holds NaN",
    ),
    ("int8", initial_weights(), 422, "head/bias is F32; packed as int8 it is I8"),
    (
        "top_k",
        {
            "head/kernel@places": u32(6),
            "head/kernel@values": f32(1),
            "head/bias@places": u32(),
            "head/bias@values": f32(),
        },
        422,
        "names place 6, and head/kernel has 6 numbers",
    ),
    (
        "top_k",
        {
            "head/kernel@places": u32(5),
            "head/kernel@values": f32(3e38),
            "head/bias@places": u32(),
            "head/bias@values": f32(),
        },
        422,
        "no training leads so far",
    ),
    (
        "int8",
        {
            "head/kernel": i8(*[127] * 6).reshape(3, 2),
            "head/kernel@scales": f32(3e38),
            "head/bias": i8(0, 0),
            "head/bias@scales": f32(0),
        },
        422,
        "head/kernel holds NaN or infinity",
    ),
    ("zip", initial_weights(), 422, "packing"),
]


@pytest.mark.parametrize(("method", "arrays", "status", "sentence"), WRONG)
def test_a_wrong_one_is_refused_and_leaves_nothing(
    device: ThinDevice,
    state: Path,
    method: str,
    arrays: dict[str, Any],
    status: int,
    sentence: str,
) -> None:
    before = snapshot(state)
    refused = device.send(device.update(arrays, packing=method))
    assert refused.status_code == status
    assert sentence in refused.json["detail"]
    assert snapshot(state) == before


def test_what_is_not_said_to_be_packed_is_float32(device: ThinDevice) -> None:
    halves = {name: array.astype(np.float16) for name, array in initial_weights().items()}
    refused = device.send(device.update(halves))
    assert refused.status_code == 422
    assert "head/bias is F16; weights are float32" in refused.json["detail"]


@pytest.fixture
def late(tmp_path: Path) -> Callable[[str], ThinDevice]:
    """A device after three versions of a task that merges late updates; with other settings it is
    started anew."""
    merging = 'late_updates = "merge"\nmost_staleness = {}'
    keep = "keep = {{ last = {}, best = false }}"

    def started(extra: str) -> ThinDevice:
        most, last = (1, 1) if extra == "prunes" else (10, 9)
        client = open_server(tmp_path, merging.format(most), extra=keep.format(last))
        device = ThinDevice(client, "device1")
        assert device.status().status_code == 200
        if device.offer().status_code == 201:
            for base in range(4):
                assert device.send(update(device, "none", base, base_version=base)).json
                assert client.post("/aggregate_models").status_code == 200
        return device

    return started


@pytest.mark.parametrize("method", METHODS)
def test_a_late_one_needs_the_weights_it_started_from(
    late: Callable[[str], ThinDevice], state: Path, method: str
) -> None:
    """Of version 1: they are not kept."""
    late("prunes")
    device = late("")
    before = snapshot(state)
    refused = device.send(update(device, method, base_version=1))
    assert refused.status_code == 409
    assert refused.json["base_version"] == 4
    assert "The weights of that version are not kept any more" in refused.json["detail"]
    assert snapshot(state) == before
    assert device.send(update(device, method, base_version=0)).status_code == 200


@pytest.mark.parametrize("method", METHODS)
def test_a_late_one_whose_base_somebody_has_deleted(
    late: Callable[[str], ThinDevice], state: Path, method: str
) -> None:
    """As when it is pruned between two looks. Sent before, it is still the same update."""
    device = late("")
    body = update(device, method, 5.0, base_version=1)
    first = device.send(body)
    assert first.status_code == 200
    for file in (state / "models" / "digits").glob("1-*"):
        file.unlink()
    before = snapshot(state)
    assert device.send(body).json == first.json
    refused = device.send(update(device, method, 6.0, base_version=1))
    assert (refused.status_code, refused.json["base_version"]) == (409, 4)
    assert refused.json["type"] == "urn:fedbell:problem:stale-update"
    assert f"(it is packed as {method})" in refused.json["detail"]
    assert "device1 has to pull it, and to train again" in refused.json["detail"]
    assert snapshot(state) == before


@pytest.mark.parametrize("method", METHODS)
def test_unpacking_holds_no_whole_model(
    client: FlaskClient, state: Path, method: PackingName
) -> None:
    """A small body of a large network."""
    large = {"kernel": normal(8 * 1024 * 1024), "bias": f32(1, 1, 1)}
    device = ThinDevice(client, "device1")
    device.status()
    assert device.offer(large).status_code == 201
    weights = {name: array + np.float32(0.5) for name, array in large.items()}
    body, _ = packed(weights, large, method, fraction=0.01, header=header(device, weights))
    del weights
    tracemalloc.start()
    answer = device.client.post(
        "/cmodel",
        input_stream=io.BytesIO(body),
        headers=device.headers,
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": str(len(body))},
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (answer.status_code, answer.json["bytes"]) == (200, len(body))
    assert peak < large["kernel"].nbytes * 2 / 3
    (kept,) = files_of_updates(state)
    assert kept.stat().st_size > large["kernel"].nbytes
