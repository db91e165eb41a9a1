"""Weights come in and go out block by block: never whole in memory, never half on disk."""

import hashlib
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse
from werkzeug.wsgi import FileWrapper

from shared.federated.weights import Array, Schema, read_weights

from .conftest import BACKBONE, ThinDevice, snapshot

MEBIBYTE = 1024 * 1024


@pytest.fixture
def large() -> dict[str, Array]:
    """32 MiB in one array, and a small one."""
    kernel = np.random.default_rng(1).standard_normal(8 * MEBIBYTE, np.float32)
    return {"kernel": kernel, "bias": np.ones(3, np.float32)}


def body_of(device: ThinDevice, weights: dict[str, Array], **metadata: Any) -> bytes:
    fingerprint = Schema.of(weights).fingerprint(BACKBONE)
    return device.update(weights, **({"fingerprint": fingerprint} | metadata))


def send(device: ThinDevice, content: Any, length: int) -> TestResponse:
    """A body as a stream, as a server hands it on."""
    return device.client.post(
        f"/cmodel?task={device.task}",
        input_stream=content,
        headers=device.headers,
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": str(length)},
    )


def test_no_step_holds_a_whole_model(
    client: FlaskClient, large: dict[str, Array], state: Path, tmp_path: Path
) -> None:
    devices = [ThinDevice(client, f"device{n}") for n in (1, 2, 3)]
    for device in devices:
        device.status()
    assert devices[0].offer(large).status_code == 201
    model_bytes = large["kernel"].nbytes
    file = tmp_path / "update"
    for number, device in enumerate(devices):
        file.write_bytes(body_of(device, large, num_samples=number + 1))
        with file.open("rb") as content:
            tracemalloc.start()
            assert send(device, content, file.stat().st_size).status_code == 200
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < model_bytes / 3
    tracemalloc.start()
    assert client.post("/aggregate_models").status_code == 200
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < model_bytes / 2
    (version,) = (state / "models" / "digits").glob("1-*")
    assert read_weights(version)["kernel"].tobytes() == large["kernel"].tobytes()


def test_what_was_sent_is_what_is_kept(device: ThinDevice, state: Path) -> None:
    """Also when a body's blocks come in pieces of odd sizes."""

    class Odd(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 77))

        def readinto(self, into: Any, /) -> int:
            return super().readinto(memoryview(into)[:77])

    body = device.update()
    assert send(device, Odd(body), len(body)).status_code == 200
    (kept,) = (path for path in (state / "updates").rglob("*") if path.is_file())
    assert kept.read_bytes() == body
    assert hashlib.sha256(body).hexdigest()[:16] in kept.name


@pytest.mark.parametrize("sent", [0, 1, 300])
def test_a_client_that_hangs_up_leaves_nothing(device: ThinDevice, state: Path, sent: int) -> None:
    before = snapshot(state)
    body = device.update()
    response = send(device, io.BytesIO(body[:sent]), len(body))
    assert response.status_code == 400
    assert response.json["type"] == "urn:fedbell:problem:cut-short"
    assert snapshot(state) == before


def test_a_connection_that_breaks_leaves_nothing(device: ThinDevice, state: Path) -> None:
    class Broken(io.BytesIO):
        def readinto(self, into: Any, /) -> int:
            raise ConnectionResetError

        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError

    before = snapshot(state)
    assert send(device, Broken(), 1000).status_code == 400
    assert snapshot(state) == before


def test_a_version_goes_out_as_the_servers_own_file(app: APIFlask, device: ThinDevice) -> None:
    """What makes Gunicorn use sendfile: its wrapper, untouched, is what the application returns."""
    built = device.client.get("/models/0", buffered=True).request.environ

    class Wrapper(FileWrapper):
        pass

    environ = built | {"wsgi.file_wrapper": Wrapper}
    returned = app.wsgi_app(environ, lambda *_: lambda _: None)
    assert isinstance(returned, Wrapper)
    returned.close()


def test_a_part_of_a_version(device: ThinDevice) -> None:
    client = device.client
    whole = client.get("/models/0", buffered=True)
    etag = whole.headers["ETag"]
    assert whole.headers["Accept-Ranges"] == "bytes"
    headers = {"Range": "bytes=10-", "If-Range": etag}
    part = client.get("/models/0", headers=headers, buffered=True)
    assert (part.status_code, part.data) == (206, whole.data[10:])
    assert part.headers["Content-Range"] == f"bytes 10-{len(whole.data) - 1}/{len(whole.data)}"
    other = client.get("/models/0", headers=headers | {"If-Range": '"other"'}, buffered=True)
    assert (other.status_code, other.data) == (200, whole.data)
    beyond = client.get("/models/0", headers={"Range": "bytes=99999-"}, buffered=True)
    assert beyond.status_code == 416


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("{etag}", 304),
        ("W/{etag}", 304),
        ("*", 304),
        ('"other", W/"another", {etag}', 304),
        ('"other", W/"another"', 200),
        ("not an etag", 200),
    ],
)
def test_an_unchanged_version_is_not_sent_again(
    device: ThinDevice, method: str, condition: str, status: int
) -> None:
    first = device.client.head("/models/latest", buffered=True)
    etag = first.headers["ETag"]
    for path in ("/models/0", "/models/latest"):
        answer = device.client.open(
            path,
            method=method,
            headers={"If-None-Match": condition.format(etag=etag)},
            buffered=True,
        )
        assert answer.status_code == status
        assert answer.headers["ETag"] == etag
        if status == 304 or method == "HEAD":
            assert not answer.data


def test_another_version_has_another_etag(
    device: ThinDevice, make_app: Callable[..., APIFlask]
) -> None:
    etags = {device.client.head("/models/latest", buffered=True).headers["ETag"]}
    device.send(device.update({"head/kernel": np.ones((3, 2), np.float32)} | _bias()))
    device.client.post("/aggregate_models")
    etags.add(device.client.head("/models/latest", buffered=True).headers["ETag"])
    etags.add(make_app().test_client().head("/models/1", buffered=True).headers["ETag"])
    assert len(etags) == 2


def _bias() -> dict[str, Array]:
    return {"head/bias": np.zeros(2, np.float32)}
