"""Each step of a round by itself, on every device or on some; for who holds the task's lock."""

import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from main_server.asking import Asking, opens_first
from main_server.calling import Step, Target
from main_server.fleet import Fleet, NoDevices, Patience
from main_server.models import Models
from main_server.noted import noted_aggregation
from main_server.rounds import OPEN, NothingToDistribute, check_enough
from main_server.settings import MainServerSettings
from main_server.step_results import end_of, without_confusion
from main_server.store.devices import Devices
from main_server.store.round_steps import RoundSteps
from main_server.store.rounds import Rounds
from main_server.store.strategies import Strategies
from main_server.store.versions import Versions
from shared.errors import FedbellError
from shared.federated.answers import Installed, Sent, Trained
from shared.federated.evaluation import DeviceEvaluation
from shared.federated.task import Task
from shared.web.problems import NotFound

Answer = dict[str, Any]


class NotTakingPart(FedbellError):
    """A device that has no training picture of the task."""

    status = 409
    title = "The device takes no part"


class SingleSteps:
    """Takes steps, and notes how they went.

    Every step takes the id of the job that it is part of, and the devices that alone are
    asked, for a step that asks devices; None: all that take part.
    """

    def __init__(
        self,
        settings: MainServerSettings,
        devices: Devices,
        versions: Versions,
        rounds: Rounds,
        round_steps: RoundSteps,
        models: Models,
        fleet: Fleet,
        asking: Asking,
        strategies: Strategies,
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._versions = versions
        self._rounds = rounds
        self._round_steps = round_steps
        self._models = models
        self._fleet = fleet
        self._asking = asking
        self._strategies = strategies

    def train(
        self,
        task: Task,
        job: str,
        only: Collection[str] | None = None,
        is_stopped: Callable[[], bool] | None = None,
    ) -> Answer:
        """``modeltrain``: devices train the newest version. Opens a round when it is over.

        A round that chooses whom it asks, or that has a deadline, is opened before.

        Args:
            is_stopped: whether somebody wants the devices to stop; see :meth:`Fleet.ask`.
        """
        started = time.time()
        number = self._rounds.number_to_come(task.name)
        if is_sync := task.mode == "sync":
            if not self._round_steps.has_trainings(task.name, number):
                self._strategies.settle(task)
            if opens_first(task.rounds):
                self._rounds.open(task, started)
            self._asking.join(task, only)
        step = Step("modeltrain", task.name, {}, Trained, self._settings.training_timeout_seconds)
        names, patience = self._whom(task, only), self._asking.patience(task, step.name)
        answers = self._ask(step, "modeltrain", number, job, names, patience, is_stopped)
        if is_sync:
            self._rounds.open(task, started)
        told = {name: without_confusion(answer) for name, answer in answers.items()}
        return {"round": number, "devices": told, "left_out": self._left_out(task, only)}

    def send(self, task: Task, job: str, only: Collection[str] | None = None) -> Answer:
        """``sendmodel``: devices send their updates."""
        number = self._rounds.number_to_come(task.name)
        seconds = self._settings.step_timeout_seconds
        step = Step("sendmodel", task.name, {"round": number}, Sent, seconds)
        names, patience = self._whom(task, only), self._asking.patience(task, step.name)
        if only is None:
            names = self._asking.not_left(task, names)
        return {
            "round": number,
            "devices": self._ask(step, "sendmodel", number, job, names, patience),
        }

    def aggregate(self, task: Task, job: str, with_unchanged: bool = False) -> Answer:
        """``aggregate_models``: make the next version of the round's updates.

        Args:
            with_unchanged: count devices that take part and sent nothing in this round with
                the version it started from, weighted by their numbers of samples.
        """
        started = time.monotonic()
        samples = self.samples(task)
        asked = self._asking.now(task).names & samples.keys()
        with noted_aggregation(self._rounds, self._round_steps, task, job) as ended:
            row = self._rounds.aggregate(
                task,
                lambda sent: check_enough(task, sent, asked),
                partial(self._models.aggregate, num_devices=len(samples)),
                samples if with_unchanged else {},
            )
            told = {
                "version": row.version,
                "strategy": row.strategy,
                "updates": len(row.updates),
                "num_samples": sum(update.num_samples for update in row.updates),
                **({"unchanged": row.unchanged} if row.unchanged else {}),
                "seconds": round(time.monotonic() - started, 3),
            }
            ended(told)
        self._rounds.remove_files_of_closed()
        self._models.prune(task)
        return {"round": row.number, **told}

    def distribute(self, task: Task, job: str, only: Collection[str] | None = None) -> Answer:
        """``send_model_clients``: devices install and evaluate the newest version."""
        version = self._versions.newest(task.name).version
        if version == 0:
            raise NothingToDistribute(
                "Version 0 is with the devices already. Run aggregate_models first."
            )
        self._versions.release(task.name, version)
        number = self._rounds.number_of_version(task.name, version)
        seconds = self._settings.step_timeout_seconds
        step = Step("aggmodel", task.name, {"version": version}, Installed, seconds)
        names = set(only) if only is not None else self._asking.installers(task)
        patience = self._asking.installing(task)
        answers = self._ask(step, "send_model_clients", number, job, names, patience)
        evaluations = {
            device: DeviceEvaluation.model_validate(answer["evaluation"])
            for device, answer in answers.items()
            if answer.get("evaluation")
        }
        federated = self._rounds.mark_distributed(task.name, version, evaluations)
        return {
            "version": version,
            "devices": {name: without_confusion(answer) for name, answer in answers.items()},
            "evaluation": federated.as_json() if federated else None,
        }

    def is_open(self, task: Task) -> bool:
        """Whether a round is open."""
        newest = self._rounds.newest(task.name)
        return newest is not None and newest.status == OPEN

    def ready(self, task: Task) -> set[str]:
        """The devices that can take a step now: online, with pictures, without a problem."""
        seen_since = time.time() - self._settings.lost_after_seconds
        return {
            name
            for name, (device, told) in self._devices.with_task(task.name).items()
            if told.num_samples and not told.problem and device.last_seen > seen_since
        }

    def check_takes_part(self, task: Task, device: str) -> None:
        """Raise NotFound or NotTakingPart unless ``device`` takes part in ``task``."""
        told = self._devices.of_task(task.name).get(device)
        if told is not None and told.num_samples:
            return
        if told is None and device not in {each.name for each in self._devices.all()}:
            raise NotFound(f"There is no device {device}. GET /devices names those there are.")
        why = told.problem if told is not None else None
        raise NotTakingPart(
            f"{device} takes no part in {task.name}: "
            + (why or "it has no training picture of that task.")
        )

    def samples(self, task: Task) -> Mapping[str, int]:
        """The devices that take part, each with its number of training pictures."""
        rows = self._devices.of_task(task.name)
        return {name: row.num_samples for name, row in rows.items() if row.num_samples}

    def _whom(self, task: Task, only: Collection[str] | None) -> Collection[str]:
        """The devices that ``modeltrain`` or ``sendmodel`` asks; those that rest only by name."""
        return only if only is not None else self._asking.now(task).names

    def _ask(
        self,
        step: Step,
        name: str,
        number: int,
        job: str,
        names: Collection[str],
        patience: Patience,
        is_stopped: Callable[[], bool] | None = None,
    ) -> dict[str, Answer]:
        """Ask devices for a step that is called ``name`` here; note how it goes on each."""
        targets = {
            device: Target(row.url, row.address, row.token_hash)
            for device, (row, told) in self._devices.with_task(step.task).items()
            if told.num_samples and row.url is not None and device in names
        }
        if not targets and self._come_by_themselves(step.task):
            if name == "send_model_clients":  # it is released: they fetch it
                return {}
            raise NoDevices(
                f"No device of {step.task} can be called: they come by themselves, train and send. "
                "Nothing has to be asked of them."
            )
        self._round_steps.begin(step.task, number, name, targets, job)

        def told(answers: Mapping[str, Answer]) -> None:
            ends = {device: end_of(name, device, answer) for device, answer in answers.items()}
            self._round_steps.end(step.task, number, name, ends)

        return self._fleet.ask(targets, step, told, is_stopped, patience)

    def _come_by_themselves(self, task: str) -> list[str]:
        """The devices with pictures that nobody can call."""
        rows = self._devices.with_task(task).values()
        return [device.name for device, told in rows if told.num_samples and device.url is None]

    def _left_out(self, task: Task, only: Collection[str] | None) -> dict[str, str]:
        """The devices that know the task but have no training pictures of it, and why."""
        rows = self._devices.of_task(task.name)
        return {
            name: row.problem or "There is no training picture."
            for name, row in rows.items()
            if not row.num_samples and only is None
        }
