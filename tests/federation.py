"""A real federation for tests: a main server and devices, each a Gunicorn of its own.

Everything lies in one folder: data set, tasks, states and logs. Servers can be killed
and started again; they keep their ports. Whoever makes a federation calls ``close()``.
"""

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.server import Server, wait_until

TASKS = """
    [tasks.shades]
    classes = ["dark", "light"]
    image_size = 32
    training = { epochs = 1, batch_size = 8, learning_rate = 0.01 }
"""
_BRIGHTNESS = {"dark": 60, "light": 190}


def write_pictures(directory: Path, each: Mapping[str, int], seed: int) -> None:
    """Noisy pictures of task shades: ``each[split]`` of every class."""
    random = np.random.default_rng(seed)
    for split, number in each.items():
        for name, brightness in _BRIGHTNESS.items():
            folder = directory / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(number):
                pixels = random.normal(brightness, 50, (32, 32, 3)).clip(0, 255)
                assert cv2.imwrite(str(folder / f"{index:02}.png"), pixels.astype(np.uint8))


class Federation:
    """A main server with two workers, and devices.

    Args:
        directory: for all they have.
        tasks: the text of tasks.toml.
        heartbeat_seconds: how often devices tell how they are.
    """

    def __init__(
        self,
        directory: Path,
        tasks: str = TASKS,
        heartbeat_seconds: float = 0.5,
        devices: Sequence[str] = ("device1", "device2"),
    ) -> None:
        self.directory, self.tasks = directory, tasks
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "tasks.toml"
        file.write_text(textwrap.dedent(tasks))
        settings = {
            "TASKS_FILE": str(file),
            "HEARTBEAT_SECONDS": str(heartbeat_seconds),
            "WORKERS": "2",
        }
        self.main = Server("main_server.wsgi:app", directory / "main_server", settings)
        self.devices = {name: self._device(name) for name in devices}

    def _device(self, name: str) -> Server:
        settings = {
            "MAIN_SERVER_URL": self.main.url,
            "DATASET_DIRECTORY": str(self.directory / "dataset" / name),
            "BACKBONE_DIRECTORY": str(self.directory / "backbones"),
            "DEVICE_NAME": name,
        }
        return Server(f"{name}.wsgi:app", self.directory / name, settings)

    @property
    def servers(self) -> list[Server]:
        """All of them, the main server first."""
        return [self.main, *self.devices.values()]

    def dataset(self, device: str, task: str = "shades") -> Path:
        """Where a device's pictures of a task lie."""
        return self.directory / "dataset" / device / task

    def write_pictures(self, task: str = "shades", train: int = 4) -> None:
        """Few pictures for each device, and not equally many; ``train``: of each class."""
        for seed, name in enumerate(self.devices):
            each = {"train": train + 2 * seed, "valid": 1, "test": 3 + seed}
            write_pictures(self.dataset(name, task), each, seed)

    def start(self) -> None:
        """Start all that do not run, and wait until every device has and has measured the newest
        version."""
        for server in self.servers:
            if not server.runs:
                server.start(wait=False)
        for server in self.servers:
            wait_until(server.is_ready)
        for name in self.devices:
            self.caught_up(name)

    def stop(self) -> None:
        """Stop those that run."""
        for server in self.servers:
            server.stop()

    def close(self) -> None:
        """Stop all, for good."""
        for server in self.servers:
            server.stop()
            server.http.close()

    def copy_to(self, other: "Federation") -> None:
        """Give a federation that does not run the states and pictures of this one, which rests."""
        for mine, theirs in zip(self.servers, other.servers, strict=True):
            shutil.rmtree(theirs.state, ignore_errors=True)
            shutil.copytree(mine.state, theirs.state)
        shutil.copytree(self.directory / "dataset", other.directory / "dataset", dirs_exist_ok=True)

    def caught_up(self, device: str, task: str = "shades", version: int | None = None) -> Any:
        """What a device says of a task, once it has a version (None: the newest) and knows how
        good it is."""

        def look() -> Any:
            wanted = version
            if wanted is None:
                tasks = {row["name"]: row for row in self.main.get("/tasks")["tasks"]}
                wanted = tasks[task]["version"]
            told = self.devices[device].get("/status")["tasks"].get(task)
            evaluation = told and told["evaluation"]
            here = evaluation and wanted is not None and evaluation["version"] == wanted
            return told if here else None

        return wait_until(look)

    def rounds(self, task: str = "shades") -> list[dict[str, Any]]:
        """The main server's rounds of a task, oldest first."""
        rows = self.main.get(f"/rounds?task={task}&limit=500")["rounds"]
        return list(reversed(rows))

    def versions(self, task: str = "shades") -> dict[int, str]:
        """The SHA-256 of each version, as the main server tells it."""
        rows = self.main.get(f"/models?task={task}&limit=500")["versions"]
        return {row["version"]: row["sha256"] for row in reversed(rows)}
