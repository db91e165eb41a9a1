"""A main server on its own state directory, and thin devices that speak to it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from safetensors.numpy import save
from sqlalchemy import Connection, create_engine, text
from werkzeug.test import TestResponse

from main_server import create_app
from main_server.settings import MainServerSettings
from main_server.store.opening import sqlite_url
from shared.federated.weights import Array, Schema
from shared.web.engines import parse_url

from .stores import STORES

BACKBONE = hashlib.sha256(b"a backbone").hexdigest()

TASKS = """
[tasks.digits]
classes = ["0", "1"]
seed = 7

[tasks.parcels]
classes = ["parcel", "none"]
min_updates = 2
"""


#: The files whose tests run on SQLite and on PostgreSQL: what they ask of the store is all it does.
#: In them, tests marked with ``one_database`` are about something else, and run on SQLite.
ON_BOTH_DATABASES = {
    "test_asynchronous",
    "test_auto_aggregate",
    "test_device_steps",
    "test_events",
    "test_jobs",
    "test_offers",
    "test_presence",
    "test_pruning",
    "test_refusals",
    "test_round_ends",
    "test_round_ends_in_time",
    "test_rounds",
    "test_stand_ins",
    "test_strategies",
    "test_versions",
    "test_went_back",
}
#: Kinds of events that tell of what was refused, as they stand in a row.
REFUSALS = ("'device_refused'", "'join_refused'", "'refused'", "'job_failed'", "'update_refused'")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    module = metafunc.module.__name__.rpartition(".")[2]
    is_of_one = metafunc.definition.get_closest_marker("one_database") is not None
    is_asked = "database_url" in metafunc.fixturenames and not is_of_one
    if is_asked and module in ON_BOTH_DATABASES:
        metafunc.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture(autouse=True)
def _stores() -> Iterator[None]:
    with STORES.of_a_test():
        yield


@pytest.fixture
def database_url(request: pytest.FixtureRequest, state: Path) -> str:
    """Where the store is: empty for a file in the state directory."""
    if getattr(request, "param", "sqlite") == "postgresql":
        STORES.lie_in(request.getfixturevalue("postgresql"))
    return STORES.address(state)


@pytest.fixture
def make_app(state: Path, tmp_path: Path, database_url: str) -> Callable[..., APIFlask]:
    """Another process of the main server, as it were: an app on the same state."""
    tasks = tmp_path / "tasks.toml"
    tasks.write_text(TASKS)

    def make(**settings: Any) -> APIFlask:
        told: dict[str, Any] = {"first_version_seconds": 0, "database_url": database_url} | settings
        told |= {"state_directory": state, "tasks_file": tasks}
        return STORES.end_with_the_test(create_app(MainServerSettings(**told)))

    return make


@contextmanager
def store_of(state: Path) -> Iterator[Connection]:
    """A connection to the store of a state directory, committed at the end."""
    engine = create_engine(parse_url(STORES.address(state) or sqlite_url(state)))
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def app(make_app: Callable[..., APIFlask]) -> APIFlask:
    return make_app()


@pytest.fixture
def client(app: APIFlask) -> FlaskClient:
    return app.test_client()


def initial_weights() -> dict[str, Array]:
    return {
        "head/kernel": np.arange(6, dtype=np.float32).reshape(3, 2),
        "head/bias": np.zeros(2, np.float32),
    }


def safetensors(weights: Mapping[str, Any], metadata: Mapping[str, str]) -> bytes:
    return save(dict(weights), dict(metadata))


class ThinDevice:
    """What a device sends, without the learning: real bodies over the real calls."""

    def __init__(self, client: FlaskClient, name: str, task: str = "digits") -> None:
        self.client = client
        self.name = name
        self.task = task
        self.token = f"token-of-{name}".ljust(40, "-")

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def status(self, **changes: Any) -> TestResponse:
        body = {
            "device": self.name,
            "url": "http://127.0.0.1:9",
            "tasks": {self.task: {"num_samples": 10}},
        }
        return self.client.post("/clientstatus", json=body | changes, headers=self.headers)

    def offer(self, weights: Mapping[str, Any] | None = None, **metadata: str) -> TestResponse:
        offered = weights or initial_weights()
        told = {
            "task": self.task,
            "backbone": BACKBONE,
            "fingerprint": Schema.of(offered).fingerprint(BACKBONE),
        }
        return self.client.put(
            f"/models/0?task={self.task}",
            data=safetensors(offered, told | metadata),
            headers=self.headers,
        )

    def update(self, weights: Mapping[str, Any] | None = None, **metadata: Any) -> bytes:
        """The body of an update."""
        sent = weights if weights is not None else initial_weights()
        told = {
            "task": self.task,
            "device": self.name,
            "base_version": 0,
            "num_samples": 10,
            "metrics": json.dumps({"loss": 0.5}),
            "fingerprint": Schema.of(initial_weights()).fingerprint(BACKBONE),
        }
        return safetensors(sent, {name: str(value) for name, value in (told | metadata).items()})

    def send(self, body: bytes | None = None, **metadata: Any) -> TestResponse:
        return self.client.post(
            f"/cmodel?task={self.task}",
            data=self.update(**metadata) if body is None else body,
            headers=self.headers,
        )


@pytest.fixture
def device(client: FlaskClient) -> ThinDevice:
    """An enrolled device; the task has its version 0."""
    thin = ThinDevice(client, "device1")
    assert thin.status().status_code == 200
    assert thin.offer().status_code == 201
    return thin


def snapshot(state: Path) -> dict[str, Any]:
    """Everything that counts in the store: its rows and its files, but not who was seen when, and
    not what the log tells of refusals."""
    tables = ("versions", "rounds", "updates", "evaluations", "events", "device_tasks")
    with store_of(state) as connection:
        rows = {
            table: sorted(map(repr, connection.execute(text(f"SELECT * FROM {table}"))))  # noqa: S608
            for table in tables
        }
    rows["events"] = [row for row in rows["events"] if not any(map(row.count, REFUSALS))]
    files = {
        str(path.relative_to(state)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("models", "updates", "incoming")
        for path in (state / folder).rglob("*")
        if path.is_file()
    }
    return {"rows": rows, "files": files}
