"""Clients as processes of their own, small MNIST files, and a main server for them."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shared.federated.weights import read_weights
from tests.device.processes import Connection
from tests.server import ROOT, Server, wait_until

CHUNK = 40
CHUNKS = 3
TASKS = """
    [tasks.mnist]
    classes = ["0", "1", "2", "3"]
    architecture = "mnist_mlp"
    auto_aggregate = true
    training = { epochs = 2, batch_size = 10, learning_rate = 0.01 }
"""
ASYNC_TASKS = TASKS.replace("auto_aggregate = true", 'mode = "async"')

_END_SECONDS = 180


def write_mnist(directory: Path, seed: int = 1) -> Path:
    """Four MNIST files of 28 × 28 pictures: noise, and for each class a bright stripe."""
    directory.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for part, count in {"train": CHUNK * CHUNKS, "t10k": 20}.items():
        labels = random.integers(0, 4, count).astype(np.uint8)
        pictures = random.integers(0, 90, (count, 28, 28)).astype(np.uint8)
        for picture, label in zip(pictures, labels, strict=True):
            picture[7 * label : 7 * label + 7] += 120
        _write_idx(directory / f"{part}-images-idx3-ubyte", pictures)
        _write_idx(directory / f"{part}-labels-idx1-ubyte", labels)
    return directory


def _write_idx(path: Path, array: np.ndarray) -> None:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def main_server(directory: Path, tasks: str = TASKS, **settings: str) -> Server:
    """A main server with two workers, which does not run yet."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "tasks.toml"
    file.write_text(textwrap.dedent(tasks))
    environment = {"TASKS_FILE": str(file), "HEARTBEAT_SECONDS": "0.2", "WORKERS": "2"}
    return Server("main_server.wsgi:app", directory, environment | settings)


class ClientProcess:
    """One ``fedbell client``.

    Args:
        directory: for its state and what it says.
        url: of its main server.
        data: with the MNIST files.
        options: further ones, by name without dashes; None: without a value.
    """

    def __init__(self, directory: Path, url: str, data: Path, **options: Any) -> None:
        self.state = directory / "state"
        self.environment: dict[str, str] = {"TF_NUM_INTRAOP_THREADS": "1"}
        self._output = directory / "output.txt"
        directory.mkdir(parents=True, exist_ok=True)
        self._output.touch()
        usual = {
            "id": "alice",
            "server": url,
            "task": "mnist",
            "shards": (1, CHUNKS),
            "data": data,
            "chunk_size": CHUNK,
            "state": self.state,
            "max_wait_seconds": 0.5,
            "max_retries": 3,
        }
        self.options = usual | options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, environment: Mapping[str, str] | None = None, **options: Any) -> None:
        """Start it, perhaps with other options than usual."""
        arguments = []
        for name, value in (self.options | options).items():
            told = () if value is None else value if isinstance(value, tuple) else (value,)
            arguments += [f"--{name.replace('_', '-')}", *map(str, told)]
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "shared.command_line", "client", *arguments],
                cwd=ROOT,
                env=os.environ | self.environment | dict(environment or {}),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process's id, and its process group's."""
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """What it has said so far, in all its starts."""
        return self._output.read_text()

    def run(self, **options: Any) -> int:
        """Start it and wait for its end; its exit status."""
        self.start(**options)
        return self.end()

    def end(self) -> int:
        """Wait for its end; its exit status."""
        assert self._process is not None
        try:
            status = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"it did not end:\n{self.output[-3000:]}") from None
        self._process = None
        return status

    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def says(self, text: str, times: int = 1) -> None:
        """Wait until it has said something so often."""

        def said() -> bool:
            if self.output.count(text) >= times:
                return True
            assert self.is_running(), f"it ended:\n{self.output[-3000:]}"
            return False

        wait_until(said, _END_SECONDS)

    def interrupt(self) -> int:
        """Ctrl-C; its exit status."""
        os.kill(self.pid, signal.SIGINT)
        return self.end()

    def kill(self) -> None:
        """kill -9, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_END_SECONDS)
            self._process = None


def updates(server: Server) -> list[str]:
    """Whose updates of the task count, oldest first."""
    rows = server.get("/rounds?task=mnist&limit=500")["rounds"]
    return [update for row in reversed(rows) for update in row["updates"]]


def versions(server: Server) -> dict[int, str]:
    """The SHA-256 of each version."""
    rows = server.get("/models?task=mnist&limit=500")["versions"]
    return {row["version"]: row["sha256"] for row in reversed(rows)}


def weights(server: Server, version: int, directory: Path, task: str = "mnist") -> dict[str, bytes]:
    """The numbers of a version, by name of the array."""
    answer = server.http.get(f"/models/{version}?task={task}")
    assert answer.is_success, answer.text
    file = directory / f"{server.port}-{version}.safetensors"
    file.write_bytes(answer.content)
    return {name: array.tobytes() for name, array in read_weights(file).items()}


def pushed(connection: Connection) -> list[str]:
    """The updates that went over a connection, each once, in order, as hashes of all they hold.

    But for the hash of the file they started from: a file of another federation names that.
    """
    bodies = [body for call, body in connection.sent if call.startswith("POST /cmodel")]
    return [_hash_of(body) for body in dict.fromkeys(bodies)]


def _hash_of(body: bytes) -> str:
    end = 8 + int.from_bytes(body[:8], "little")
    header = json.loads(body[8:end])
    assert header["__metadata__"].pop("base_sha256")
    return hashlib.sha256(json.dumps(header).encode() + body[end:]).hexdigest()
