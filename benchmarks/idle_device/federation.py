"""A main server with two workers and two idle devices, each a Gunicorn as in daily use."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.idle_device import ADDED
from tests.server import Server, wait_until

TASK = "idle"
_CLASSES = ("one", "other")
_TASKS = f"""
[tasks.{TASK}]
classes = ["{_CLASSES[0]}", "{_CLASSES[1]}"]
"""


class IdleFederation:
    """Real servers; only what they train is nothing.

    Args:
        directory: for all they have.
        numbers: float32 numbers of the task's weights.
        arrays: how many arrays they are in.
    """

    def __init__(self, directory: Path, numbers: int, arrays: int) -> None:
        tasks = directory / "tasks.toml"
        tasks.write_text(_TASKS)
        settings = {"TASKS_FILE": str(tasks), "WORKERS": "2"}
        self.main = Server("main_server.wsgi:app", directory / "main_server", settings)
        work = {"IDLE_NUMBERS": str(numbers), "IDLE_ARRAYS": str(arrays)}
        self.devices = {name: self._device(name, directory, work) for name in ADDED}

    def _device(self, name: str, directory: Path, work: dict[str, str]) -> Server:
        pictures = directory / "dataset" / name
        for split in ("train", "test"):
            folder = pictures / TASK / split / _CLASSES[0]
            folder.mkdir(parents=True)
            (folder / "1.png").write_bytes(b"counted, never opened")
        settings = work | {
            "DEVICE_NAME": name,
            "MAIN_SERVER_URL": self.main.url,
            "DATASET_DIRECTORY": str(pictures),
        }
        return Server("benchmarks.idle_device.wsgi:app", directory / name, settings)

    @property
    def servers(self) -> list[Server]:
        """The main server and the devices."""
        return [self.main, *self.devices.values()]

    def versions(self) -> list[int]:
        """The numbers of the global model's versions, newest first."""
        rows = self.main.get(f"/models?task={TASK}&limit=500")["versions"]
        return [row["version"] for row in rows]

    def wait_for(self, version: int) -> None:
        """Wait until every device has a version, and has measured it."""

        def everywhere() -> bool:
            tasks = [device.task(TASK) for device in self.devices.values()]
            evaluations = [task and task["evaluation"] for task in tasks]
            return all(told and told["version"] == version for told in evaluations)

        wait_until(everywhere)

    def model_file(self, device: str) -> Path:
        """The file of a device's installed model."""
        (file,) = (self.devices[device].state / "models").iterdir()
        return file


@contextmanager
def idle_federation(directory: Path, numbers: int, arrays: int) -> Iterator[IdleFederation]:
    """It runs, and every device has version 0."""
    federation = IdleFederation(directory, numbers, arrays)
    try:
        for server in federation.servers:
            server.start(wait=False)
        for server in federation.servers:
            wait_until(server.is_ready)
        federation.wait_for(0)
        yield federation
    finally:
        for server in federation.servers:
            server.stop()
            server.http.close()
