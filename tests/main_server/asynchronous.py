"""A main server with asynchronous tasks, and thin devices that push and pull."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from safetensors.numpy import load

from main_server import create_app
from main_server.settings import MainServerSettings
from shared.federated.weights import Array

from .conftest import ThinDevice, initial_weights
from .stores import STORES

TASKS = """
[tasks.fedasync]
classes = ["0", "1"]
mode = "async"
asynchronous = {rule = "fedasync", mixing = 0.5, staleness_exponent = 1.0, most_staleness = 3}
keep = {last = 2, every = 32, best = true}

[tasks.average]
classes = ["0", "1"]
mode = "async"
asynchronous = {rule = "running_average"}

[tasks.fedbuff]
classes = ["0", "1"]
mode = "async"
asynchronous = {rule = "fedbuff", buffer_size = 3, staleness_exponent = 1.0}

[tasks.sync]
classes = ["0", "1"]
keep = {last = 2}
"""


@pytest.fixture
def make_app(state: Path, tmp_path: Path, database_url: str) -> Callable[..., APIFlask]:
    """Another process of the main server, as it were: an app on the same state."""
    file = tmp_path / "tasks.toml"

    def make(tasks: str = TASKS) -> APIFlask:
        file.write_text(tasks)
        settings = MainServerSettings(
            state_directory=state,
            tasks_file=file,
            database_url=database_url,
            first_version_seconds=0,
        )
        return STORES.end_with_the_test(create_app(settings))

    return make


def enrolled(client: FlaskClient, task: str, name: str = "device1") -> ThinDevice:
    """A device of ``task``, which has its version 0."""
    device = ThinDevice(client, name, task)
    assert device.status().status_code == 200
    assert device.offer().status_code in {200, 201}
    return device


def filled(number: float) -> dict[str, Array]:
    """Weights that are all the same."""
    return {name: np.full_like(array, number) for name, array in initial_weights().items()}


def push(device: ThinDevice, number: float, base: int, samples: int = 10, **told: Any) -> Any:
    """An update that has to be taken; the answer."""
    body = device.update(filled(number), base_version=base, num_samples=samples, **told)
    answer = device.send(body)
    assert answer.status_code == 200, answer.text
    return answer.json


def kernel(device: ThinDevice, version: int | str = "latest") -> list[float]:
    """The numbers of one array of a version, those that differ."""
    answer = device.client.get(f"/models/{version}?task={device.task}", buffered=True)
    assert answer.status_code == 200, answer.text
    numbers: list[float] = load(answer.data)["head/kernel"].ravel().tolist()
    return numbers


def newest(device: ThinDevice) -> int:
    """The number of the newest version."""
    answer = device.client.get(f"/models/latest?task={device.task}", buffered=True)
    return int(answer.headers["Fedbell-Version"])


def last_round(device: ThinDevice) -> Any:
    """The newest round, as ``/rounds`` tells it."""
    return device.client.get(f"/rounds?task={device.task}").json["rounds"][0]
