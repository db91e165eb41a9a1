"""Pictures, settings and servers for these tests."""

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from shared.device.settings import DeviceSettings
from tests.device.processes import Connection
from tests.server import Server

#: Two classes that a small network tells apart easily.
CLASSES = {"dark": 40, "light": 210}

TASKS = """
[tasks.shades]
classes = ["dark", "light", "unseen"]
image_size = 32
training = { epochs = 3, batch_size = 8, learning_rate = 0.01 }

[tasks.barren]
classes = ["one", "two"]
image_size = 32

[tasks.exotic]
classes = ["dark", "light"]
image_size = 32
backbone = "file:exotic.safetensors"
"""


def write_pictures(directory: Path, each: int, seed: int) -> None:
    """Noisy dark and light pictures in class folders of one split."""
    random = np.random.default_rng(seed)
    for name, brightness in CLASSES.items():
        (directory / name).mkdir(parents=True, exist_ok=True)
        for index in range(each):
            pixels = random.normal(brightness, 25, (40, 40, 3)).clip(0, 255).astype(np.uint8)
            assert cv2.imwrite(str(directory / name / f"{index:02}.png"), pixels)


def write_dataset(directory: Path) -> Path:
    """All three splits of task shades, and one of task exotic."""
    for seed, (split, each) in enumerate({"train": 10, "valid": 4, "test": 6}.items()):
        write_pictures(directory / "shades" / split, each, seed)
    write_pictures(directory / "exotic" / "train", 1, 9)
    return directory


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., DeviceSettings]:
    """Settings of a device whose state and data set lie in the test's folder."""

    def make(**values: Any) -> DeviceSettings:
        defaults: dict[str, Any] = {
            "device_name": "door",
            "device_url": "http://127.0.0.1:1",
            "main_server_url": "http://127.0.0.1:1",
            "dataset_directory": tmp_path / "dataset",
            "state_directory": tmp_path / "state",
            "backbone_directory": tmp_path / "backbones",
            "retry_seconds": 0.01,
        }
        return DeviceSettings.load(**defaults | values)

    return make


def _main_server(directory: Path) -> Server:
    directory.mkdir(parents=True, exist_ok=True)
    tasks = directory / "tasks.toml"
    tasks.write_text(textwrap.dedent(TASKS))
    return Server(
        "main_server.wsgi:app",
        directory,
        {"TASKS_FILE": str(tasks), "HEARTBEAT_SECONDS": "0.2"},
    )


@pytest.fixture(scope="module")
def main_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real main server."""
    server = _main_server(tmp_path_factory.mktemp("main"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def other_main_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Another federation's."""
    server = _main_server(tmp_path_factory.mktemp("other"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def connection(main_server: Server) -> Iterator[Connection]:
    """Between the device and its main server."""
    connection = Connection()
    connection.connect(main_server.url)
    yield connection
    connection.cut()


@pytest.fixture(scope="module")
def device(connection: Connection, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real device, shared by a module's tests: they go on from one another."""
    directory = tmp_path_factory.mktemp("device")
    server = Server(
        "device1.wsgi:app",
        directory,
        {
            "MAIN_SERVER_URL": connection.url,
            "DATASET_DIRECTORY": str(write_dataset(directory / "dataset")),
            "BACKBONE_DIRECTORY": str(directory / "backbones"),
        },
    )
    server.start()
    yield server
    server.stop()
