"""A real main server, and devices that only send: what the benchmarks of receiving share."""

import hashlib
import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from shared.federated.update import UpdateHeader
from shared.federated.weights import Array, Schema, write_weights
from tests.server import Server, wait_until

TASK = "measured"
#: A large update.
UPDATE_BYTES = 47_700_000

_BACKBONE = hashlib.sha256(b"a backbone").hexdigest()
_TASKS = f'[tasks.{TASK}]\nclasses = ["0", "1"]\nseed = 7\n'
_BLOCK_BYTES = 1024 * 1024
_WORKERS = 2
_WAIT_SECONDS = 300

Shapes = Mapping[str, tuple[int, ...]]


@contextmanager
def main_server(directory: Path) -> Iterator[Server]:
    """Gunicorn as an operator starts it, two workers, with one task; stopped at the end."""
    directory.mkdir(parents=True, exist_ok=True)
    tasks = directory / "tasks.toml"
    tasks.write_text(_TASKS)
    environment = {"TASKS_FILE": str(tasks), "WORKERS": str(_WORKERS), "HEARTBEAT_SECONDS": "3600"}
    server = Server("main_server.wsgi:app", directory, environment)
    try:
        server.start()
        wait_until(lambda: len(server.workers()) == _WORKERS)
        yield server
    finally:
        server.http.close()
        server.stop()


def random_weights(shapes: Shapes, seed: int) -> dict[str, Array]:
    """Normally distributed numbers, the same ones for the same seed."""
    generator = np.random.default_rng(seed)
    return {name: generator.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def shapes_of(size_bytes: int) -> dict[str, Shapes]:
    """Shapes of weights of that size, by what to call them.

    Several arrays as a network has them, a few large ones and small ones between; and all in
    one, which is the worst case for whoever reads a whole array at a time.
    """
    layers, rows = 8, 1000
    columns = size_bytes // 4 // layers // (rows + 1)
    several: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        several |= {f"layer{layer}/kernel": (rows, columns), f"layer{layer}/bias": (columns,)}
    return {"several arrays": several, "one array": {"kernel": (size_bytes // 4,)}}


class SendingDevice:
    """One device of a main server: enrols, offers version 0, sends updates."""

    def __init__(self, server: Server, name: str) -> None:
        self.name = name
        self._port = server.port
        self._headers = {"Authorization": f"Bearer {f'token-of-{name}'.ljust(40, '-')}"}

    def enrol(self) -> None:
        """Tell the main server that there is a device of this name."""
        told = {
            "device": self.name,
            "url": "http://127.0.0.1:9",
            "tasks": {TASK: {"num_samples": 10}},
        }
        self._call("POST", "/clientstatus", json.dumps(told).encode(), "application/json")

    def offer(self, weights: Mapping[str, Array], directory: Path) -> None:
        """Offer ``weights`` as version 0."""
        file = directory / "version0"
        fingerprint = Schema.of(weights).fingerprint(_BACKBONE)
        metadata = {"task": TASK, "backbone": _BACKBONE, "fingerprint": fingerprint}
        write_weights(file, weights, metadata)
        self._call_with_file("PUT", f"/models/0?task={TASK}", file)
        file.unlink()

    def write_update(self, file: Path, weights: Mapping[str, Array], num_samples: int) -> None:
        """Write the file that :meth:`send` sends."""
        header = UpdateHeader(
            task=TASK,
            device=self.name,
            base_version=0,
            num_samples=num_samples,
            metrics={},
            fingerprint=Schema.of(weights).fingerprint(_BACKBONE),
        )
        write_weights(file, weights, header.as_metadata())

    def send(self, file: Path) -> Any:
        """Send an update; what the main server answers."""
        return self._call_with_file("POST", f"/cmodel?task={TASK}", file)

    def _call_with_file(self, method: str, path: str, file: Path) -> Any:
        with file.open("rb") as content:
            return self._call(method, path, content, "application/octet-stream")

    def _call(self, method: str, path: str, body: Any, content_type: str) -> Any:
        """One call on a connection of its own; the JSON of an answer that has to be a success."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._port, timeout=_WAIT_SECONDS, blocksize=_BLOCK_BYTES
        )
        size = len(body) if isinstance(body, bytes) else Path(body.name).stat().st_size
        headers = {"Content-Type": content_type, "Content-Length": str(size)}
        try:
            connection.request(method, path, body, self._headers | headers)
            answer = connection.getresponse()
            told = answer.read()
            assert 200 <= answer.status < 300, told
            return json.loads(told)
        finally:
            connection.close()
