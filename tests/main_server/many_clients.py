"""Clients that push and pull at once, without the learning; and what must hold of what they did."""

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from safetensors.numpy import load, save

from shared.federated.update import UpdateHeader
from shared.federated.weights import Array, Schema
from tests.server import Server

_BACKBONE = hashlib.sha256(b"a backbone").hexdigest()
_SHAPES = {"hidden/kernel": (40, 20), "head/kernel": (20, 10), "head/bias": (10,)}
_WAIT_SECONDS = 60.0

TASKS = """
[tasks.average]
classes = ["0", "1"]
mode = "async"
asynchronous = {rule = "running_average", most_staleness = 200}
keep = {last = 5, every = 100}

[tasks.buffered]
classes = ["0", "1"]
mode = "async"
asynchronous = {rule = "fedbuff", buffer_size = 5, most_staleness = 10}
"""


@contextmanager
def served(directory: Path, database_url: str = "") -> Iterator[Server]:
    """A real main server of several workers; stopped at the end.

    Args:
        database_url: of its store; empty: a file in its state directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tasks = directory / "tasks.toml"
    tasks.write_text(TASKS)
    environment = {"TASKS_FILE": str(tasks), "WORKERS": "2", "THREADS": "16"}
    if database_url:
        environment["DATABASE_URL"] = database_url
    server = Server("main_server.wsgi:app", directory, environment)
    try:
        server.start()
        yield server
    finally:
        server.http.close()
        server.stop()


def first_weights() -> dict[str, Array]:
    """Version 0."""
    generator = np.random.default_rng(0)
    return {name: generator.standard_normal(shape, np.float32) for name, shape in _SHAPES.items()}


@dataclass
class Pushed:
    """An update that a client has sent; ``round``: its number, once it was acknowledged."""

    weights: dict[str, Array]
    num_samples: int
    base_version: int
    round: int | None = None


@dataclass
class Client:
    """One client: it pulls, trains and pushes, and notes what it saw.

    Attributes:
        pushed: by the SHA-256 of its body, what it has sent.
        seen: the versions it has read, in order.
        wrong: what must not be, in words.
    """

    server: Server
    name: str
    task: str
    pushed: dict[str, Pushed] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._http = httpx.Client(base_url=self.server.url, timeout=_WAIT_SECONDS, trust_env=False)
        self._random = random.Random(self.name)
        self._weights: dict[str, Array] = {}
        self._etag = ""
        self._sequence = 0

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {f'token-of-{self.name}'.ljust(40, '-')}"}

    def join(self) -> None:
        """Enrol, and offer version 0."""
        told = {"device": self.name, "tasks": {self.task: {"num_samples": 10}}}
        self._call("POST", "/clientstatus", json=told)
        weights = first_weights()
        metadata = {
            "task": self.task,
            "backbone": _BACKBONE,
            "fingerprint": Schema.of(weights).fingerprint(_BACKBONE),
        }
        self._call("PUT", "/models/0", content=save(weights, metadata))

    def work(self, goes_on: Callable[[int], bool]) -> None:
        """Pull and push until it was enough; given how many updates were acknowledged."""
        done = 0
        while goes_on(done):
            self._pull()
            done += self._push()
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def _pull(self) -> None:
        answer = self._call("GET", "/models/latest", headers={"If-None-Match": self._etag})
        if answer.status_code == httpx.codes.NOT_MODIFIED:
            return
        version = int(answer.headers["Fedbell-Version"])
        if self.seen and version <= self.seen[-1]:
            self.wrong.append(f"version {version} came after {self.seen[-1]}")
        self._etag = answer.headers["ETag"]
        if hashlib.sha256(answer.content).hexdigest() != self._etag.strip('"'):
            self.wrong.append(f"version {version} is not whole")
        self._weights = load(answer.content)
        self.seen.append(version)

    def _push(self) -> bool:
        """A training and its update; whether it counted: it may have been too stale."""
        self._sequence += 1
        wanted = self._random.uniform(-1, 1)
        trained = {
            name: (array + np.float32(0.3) * (np.float32(wanted) - array)).astype(np.float32)
            for name, array in self._weights.items()
        }
        header = UpdateHeader(
            task=self.task,
            device=self.name,
            base_version=self.seen[-1],
            num_samples=self._random.randint(1, 5000),
            metrics={"loss": 0.5},
            sequence=self._sequence,
            fingerprint=Schema.of(trained).fingerprint(_BACKBONE),
        )
        body = save(trained, header.as_metadata())
        pushed = Pushed(trained, header.num_samples, header.base_version)
        self.pushed[hashlib.sha256(body).hexdigest()] = pushed
        answer = self._call("POST", "/cmodel", content=body)
        if answer.status_code == httpx.codes.CONFLICT:
            return False
        pushed.round = answer.json()["round"]
        return True

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Until it is answered: the server may be killed meanwhile."""
        headers = self._headers | options.pop("headers", {})
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                answer = self._http.request(
                    method, f"{path}?task={self.task}", headers=headers, **options
                )
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(self._random.uniform(0.05, 0.3))
                continue
            allowed = {httpx.codes.NOT_MODIFIED, httpx.codes.CONFLICT}
            if not answer.is_success and answer.status_code not in allowed:
                self.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            return answer


def let_work(
    clients: Sequence[Client], goes_on: Callable[[int], bool], meanwhile: Callable[[], None]
) -> None:
    """All of them at once, each in a thread, until each has done enough."""
    errors: list[BaseException] = []

    def work(client: Client) -> None:
        try:
            client.work(goes_on)
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    meanwhile()
    for thread in threads:
        thread.join()
    if errors:
        raise ExceptionGroup(
            "clients failed", [each for each in errors if isinstance(each, Exception)]
        )
