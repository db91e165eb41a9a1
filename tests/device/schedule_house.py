"""A device with a schedule, with a main server and a trainer in memory, look by look."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.device import schedule_loop
from shared.device.connection import Reachability
from shared.device.heartbeat import Heartbeat
from shared.device.models import GlobalModels
from shared.device.schedule_loop import ScheduleLoop
from shared.device.settings import DeviceSettings
from shared.device.steps import Steps
from shared.device.store import Store
from shared.device.uploads import Uploads
from shared.errors import FedbellError
from shared.federated.task import Task
from shared.federated.update import UpdateHeader
from shared.federated.weights import read_weights, write_weights
from shared.web.jobs import Jobs
from tests.device.client.fakes import BACKBONE, FINGERPRINT, FakeMainServer

PICTURES = 6


class _MainServer(FakeMainServer):
    """Notes whether it could be reached, as the device's client of it does."""

    def __init__(self, directory: Path, task: Task) -> None:
        super().__init__(directory, task)
        self.reachability = Reachability()

    def _call(self, name: str) -> None:
        try:
            super()._call(name)
        except FedbellError:
            self.reachability = Reachability(False)
            raise
        self.reachability = Reachability(True)


class _Trainer:
    """Halves the weights that it starts from, and adds 1."""

    def call(self, operation: str, _control: object = None, **told: Any) -> dict[str, Any]:
        """See Trainer."""
        return dict(getattr(self, f"_{operation}")(**told))

    def _prepare(self, **_: Any) -> dict[str, Any]:
        return {"fingerprint": FINGERPRINT, "backbone": BACKBONE}

    def _initial(self, output: str, **_: Any) -> dict[str, Any]:
        write_weights(Path(output), {"w": np.ones(2, np.float32)})
        return {}

    def _train(
        self, task: dict[str, Any], files: dict[str, str], header: dict[str, Any], **_: Any
    ) -> dict[str, Any]:
        learned = np.asarray(read_weights(Path(files["start"]))["w"] / 2 + 1, np.float32)
        metrics = {"loss": 1.0, "accuracy": 0.5}
        complete = UpdateHeader(
            task=task["name"],
            num_samples=PICTURES,
            metrics=metrics,
            fingerprint=FINGERPRINT,
            **header,
        )
        write_weights(Path(files["update"]), {"w": learned}, complete.as_metadata())
        history = {name: [value] for name, value in metrics.items()}
        answer = {"num_samples": PICTURES, "history": history, "metrics": metrics}
        return answer | {"evaluation": None, "skipped": []}


class _Overview:
    """Is told why heartbeats are refused."""

    refusal: str | None = None


class ScheduleHouse:
    """A device's process on its state directory, started again and again.

    Attributes:
        loop: its schedule, which looks when it is told to.
    """

    loop: ScheduleLoop
    store: Store

    def __init__(
        self, directory: Path, task: Task, make_settings: Callable[..., DeviceSettings]
    ) -> None:
        self.task = task
        self.server = _MainServer(directory / "server", task)
        self._settings = make_settings(schedule="continuous", device_url="")
        folder = self._settings.pictures(task.name) / "train" / task.classes[0]
        folder.mkdir(parents=True)
        (folder / "picture.png").touch()
        self.start()

    def start(self) -> None:
        """Begin a process, and hear what tasks there are if the main server is there."""
        settings, server, trainer = self._settings, self.server, _Trainer()
        main_server: Any = server
        any_trainer: Any = trainer
        overview: Any = _Overview()
        self.store = Store(settings.state_directory, settings.device_name)
        uploads = Uploads(settings, self.store.database)
        models = GlobalModels(self.store, main_server, any_trainer)
        jobs = Jobs(self.store.database, settings.state_directory / "processes")
        steps = Steps(settings, self.store, main_server, any_trainer, models, uploads)
        self._heartbeat = Heartbeat(self.store, main_server, models, steps, jobs, overview)
        self.loop = ScheduleLoop(
            settings,
            self.store,
            uploads,
            main_server,
            steps,
            jobs,
            lambda: self._heartbeat.heard,
            lambda: None,
        )

    def close(self) -> None:
        """End the process."""
        self.store.database.close()

    def beat(self) -> None:
        """One heartbeat."""
        self._heartbeat._tell({"tasks": {}})

    def look(self) -> None:
        """Have the schedule look at the task once."""
        for row in self.store.tasks():
            self.loop._attend(row)

    def status(self) -> dict[str, Any]:
        """What people are told of the task's schedule."""
        (row,) = self.store.tasks()
        told = self.loop.status(row)
        assert told is not None
        return told


def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has failed is tried again at the next look; nobody else sends what was trained."""
    for name in ("_FIRST_PAUSE", "_LONGEST_PAUSE", "_OTHERS_SEND_SECONDS"):
        monkeypatch.setattr(schedule_loop, name, 0.0)
