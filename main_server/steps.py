"""The steps of a round, as the main server takes them: train, send, aggregate, distribute."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from main_server.fleet import Fleet, Step, Target
from main_server.models import Models
from main_server.rounds import NoModelYet, NothingToDistribute, check_enough
from main_server.settings import MainServerSettings
from main_server.store.devices import Devices
from main_server.store.rounds import Rounds
from main_server.store.versions import Versions
from shared.errors import FedbellError
from shared.federated.answers import Installed, Sent, Trained
from shared.federated.evaluation import DeviceEvaluation
from shared.federated.task import Task
from shared.web.jobs import JobControl
from shared.web.locks import exclusive

_LOOK_SECONDS = 0.2
#: Of many rounds, those whose results are told while it goes on.
_ROUNDS_TOLD = 10
#: How long modeltrain waits for a device to enrol when there is none.
_FIRST_DEVICE_SECONDS = 10.0


class StepRunning(FedbellError):
    """Another step of the same task runs."""

    status = 409
    title = "A step is running already"


class Steps:
    """What the four buttons do. One step of a task runs at a time, over all processes."""

    def __init__(
        self,
        settings: MainServerSettings,
        devices: Devices,
        versions: Versions,
        rounds: Rounds,
        models: Models,
        fleet: Fleet,
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._versions = versions
        self._rounds = rounds
        self._models = models
        self._fleet = fleet

    def train(self, task: Task, control: JobControl) -> dict[str, Any]:
        """``modeltrain`` on every device."""
        with self._alone(task):
            self._wait_for_first_version(task, control)
            return self._train(task)

    def send(self, task: Task, _control: JobControl) -> dict[str, Any]:
        """``sendmodel`` on every device."""
        with self._alone(task):
            return self._send(task)

    def aggregate(self, task: Task, _control: JobControl) -> dict[str, Any]:
        """Make the next version of the round's updates."""
        with self._alone(task):
            return self._aggregate(task)

    def distribute(self, task: Task, _control: JobControl) -> dict[str, Any]:
        """Have every device install and evaluate the newest version."""
        with self._alone(task):
            return self._distribute(task)

    def run_rounds(self, task: Task, number: int, control: JobControl) -> dict[str, Any]:
        """All four steps, ``number`` times. Stops between steps when asked to.

        What fails on one device is told with the round; the others go on.
        """
        finished: list[dict[str, Any]] = []
        with self._alone(task):
            self._wait_for_first_version(task, control)
            for index in range(1, number + 1):
                answers: dict[str, dict[str, Any]] = {}
                for name, step in (
                    ("modeltrain", self._train),
                    ("sendmodel", self._send),
                    ("aggregate_models", self._aggregate),
                    ("send_model_clients", self._distribute),
                ):
                    control.check()
                    progress = {"round": index, "of": number, "step": name}
                    control.report(progress | {"done": finished[-_ROUNDS_TOLD:]})
                    answers[name] = step(task)
                finished.append(_summary(answers))
        return {"rounds": finished}

    def _wait_for_first_version(self, task: Task, control: JobControl) -> None:
        """Give devices that are just starting the time to enrol and to offer version 0.

        Not when each of them says that it cannot take part.
        """
        started = time.monotonic()
        while self._versions.find(task.name, 0) is None:
            devices = self._devices.of_task(task.name).values()
            if devices and all(device.problem for device in devices):
                told = " ".join(f"{device.device}: {device.problem}" for device in devices)
                raise NoModelYet(f"No device can begin with {task.name}. {told}")
            patience = self._settings.first_version_seconds
            if not devices:
                patience = min(patience, _FIRST_DEVICE_SECONDS)
            if time.monotonic() - started >= patience:
                return
            control.check()
            time.sleep(_LOOK_SECONDS)

    def _train(self, task: Task) -> dict[str, Any]:
        started = time.time()
        number = self._rounds.number_to_come(task.name)
        seconds = self._settings.training_timeout_seconds
        step = Step("modeltrain", task.name, {}, Trained, seconds)
        answers = self._fleet.ask(self._targets(task), step)
        self._rounds.open(task, started)
        return {"round": number, "devices": answers, "left_out": self._left_out(task)}

    def _send(self, task: Task) -> dict[str, Any]:
        number = self._rounds.number_to_come(task.name)
        seconds = self._settings.step_timeout_seconds
        step = Step("sendmodel", task.name, {"round": number}, Sent, seconds)
        return {"round": number, "devices": self._fleet.ask(self._targets(task), step)}

    def _aggregate(self, task: Task) -> dict[str, Any]:
        started = time.monotonic()
        devices = self._targets(task)

        def check(sent: Collection[str]) -> None:
            check_enough(task, sent, devices)

        row = self._rounds.aggregate(
            task, check, lambda row, updates: self._models.aggregate(task, row, updates)
        )
        self._rounds.remove_files_of_closed()
        return {
            "round": row.number,
            "version": row.version,
            "strategy": row.strategy,
            "updates": len(row.updates),
            "num_samples": sum(update.num_samples for update in row.updates),
            "seconds": round(time.monotonic() - started, 3),
        }

    def _distribute(self, task: Task) -> dict[str, Any]:
        version = self._versions.newest(task.name).version
        if version == 0:
            raise NothingToDistribute(
                "Version 0 is with the devices already. Run aggregate_models first."
            )
        self._versions.release(task.name, version)
        seconds = self._settings.step_timeout_seconds
        step = Step("aggmodel", task.name, {"version": version}, Installed, seconds)
        answers = self._fleet.ask(self._targets(task), step)
        evaluations = {
            device: DeviceEvaluation.model_validate(answer["evaluation"])
            for device, answer in answers.items()
            if answer.get("evaluation")
        }
        self._rounds.mark_distributed(task.name, version, evaluations)
        federated = self._rounds.evaluations(task.name, [version]).get(version)
        return {
            "version": version,
            "devices": answers,
            "evaluation": federated.as_json() if federated else None,
        }

    def _left_out(self, task: Task) -> dict[str, str]:
        """The devices that know the task but have no training pictures of it, and why."""
        rows = self._devices.of_task(task.name)
        return {
            name: row.problem or "There is no training picture."
            for name, row in rows.items()
            if not row.num_samples
        }

    def _targets(self, task: Task) -> dict[str, Target]:
        """Where the devices are that take part: those with training pictures of the task."""
        return {
            name: Target(device.url, device.address)
            for name, (device, told) in self._devices.with_task(task.name).items()
            if told.num_samples
        }

    @contextmanager
    def _alone(self, task: Task) -> Iterator[None]:
        busy = StepRunning(
            f"Another step of {task.name} is running. Wait for it; GET /jobs says which it is."
        )
        with exclusive(_lock_file(self._settings.state_directory, task), busy):
            yield


def _lock_file(directory: Path, task: Task) -> Path:
    return directory / "locks" / f"{task.name}.lock"


def _summary(answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    errors = {
        f"{step} on {device}": told["error"]["detail"]
        for step, answer in answers.items()
        for device, told in answer.get("devices", {}).items()
        if "error" in told
    }
    aggregated = answers["aggregate_models"]
    return {
        "round": aggregated["round"],
        "version": aggregated["version"],
        "updates": aggregated["updates"],
        "evaluation": answers["send_model_clients"]["evaluation"],
        "errors": errors,
    }
