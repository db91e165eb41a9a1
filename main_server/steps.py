"""The steps of a round, as people ask for them: one at a time, or all of them, many times."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from main_server.fleet import EveryDeviceFailed
from main_server.rounds import NoModelYet
from main_server.settings import MainServerSettings
from main_server.single_steps import Answer, SingleSteps
from main_server.store.devices import Devices
from main_server.store.versions import Versions
from main_server.whole_rounds import WholeRounds
from shared.errors import FedbellError
from shared.federated.task import Task
from shared.web.jobs import JobControl
from shared.web.locks import exclusive, try_lock

_LOOK_SECONDS = 0.2
#: How soon a step that waits for its turn sees that another one is over.
_TURN_SECONDS = 0.05
_LONGEST_TURN_SECONDS = 1.0
#: How long modeltrain waits for a device to enrol when there is none.
_FIRST_DEVICE_SECONDS = 10.0


class StepRunning(FedbellError):
    """Another step of the same task runs."""

    status = 409
    title = "A step is running already"


class Steps:
    """What the buttons do. One step of a task runs at a time, over all processes.

    ``device``, where a step takes it, is the device that alone is asked; None: every one.
    """

    def __init__(
        self,
        settings: MainServerSettings,
        devices: Devices,
        versions: Versions,
        single: SingleSteps,
        whole_rounds: WholeRounds,
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._versions = versions
        self._single = single
        self._whole_rounds = whole_rounds

    def train(self, task: Task, device: str | None, control: JobControl) -> Answer:
        """``modeltrain`` on devices. Those that still train when it is cancelled stop."""
        with self.alone(task):
            self._wait_for_first_version(task, control)
            try:
                return self._single.train(task, control.job, _only(device), control.cancelled)
            except EveryDeviceFailed:
                control.check()
                raise

    def send(self, task: Task, device: str | None, control: JobControl) -> Answer:
        """``sendmodel`` on devices."""
        with self.alone(task):
            return self._single.send(task, control.job, _only(device))

    def aggregate(self, task: Task, control: JobControl) -> Answer:
        """Make the next version of the round's updates."""
        with self.alone(task):
            return self._single.aggregate(task, control.job)

    def distribute(self, task: Task, device: str | None, control: JobControl) -> Answer:
        """Have devices install and evaluate the newest version."""
        with self.alone(task):
            return self._single.distribute(task, control.job, _only(device))

    def check_device(self, task: Task, device: str | None) -> None:
        """Raise NotFound or NotTakingPart for a device that cannot be asked."""
        if device is not None:
            self._single.check_takes_part(task, device)

    def run_rounds(
        self, task: Task, number: int, control: JobControl, *, finish: bool = False
    ) -> Answer:
        """All four steps, ``number`` times. Stops between steps when asked to.

        What fails on one device is told with the round; the others go on.

        Args:
            finish: the first of them is what remains of the current round.
        """
        with self.alone(task):
            self._wait_for_first_version(task, control)
            return self._whole_rounds.run(task, number, control, finish)

    def aggregate_by_itself(self, task: Task, control: JobControl) -> Answer:
        """Make the next version of the updates that are here, and send it out; one that is made
        already is sent out.

        For callers who hold the task's turn. With ``auto_aggregate``, devices that sent nothing
        count with the version that the round started from.
        """
        told: Answer = {}
        if self._single.is_open(task):
            told["aggregated"] = self._single.aggregate(
                task, control.job, with_unchanged=task.auto_aggregate
            )
        return told | {"distributed": self._single.distribute(task, control.job)}

    def is_any_ready(self, task: Task) -> bool:
        """Whether a device can take a step now."""
        return bool(self._single.ready(task))

    @contextmanager
    def alone(self, task: Task) -> Iterator[None]:
        """Meanwhile, no other step of ``task`` runs. Raises StepRunning when one does."""
        busy = StepRunning(
            f"Another step of {task.name} is running. Wait for it; GET /jobs says which it is."
        )
        with exclusive(self._lock_file(task), busy):
            yield

    @contextmanager
    def in_turn(self, task: Task, is_wanted: Callable[[], bool]) -> Iterator[bool]:
        """As :meth:`alone`, but wait until no other step runs, or until nobody wants it more.

        Returns:
            Whether it is wanted still; then no other step runs meanwhile.
        """
        pause = _TURN_SECONDS
        while (lock := try_lock(self._lock_file(task))) is None:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_TURN_SECONDS)
            if not is_wanted():
                yield False
                return
        try:
            yield is_wanted()
        finally:
            lock.release()

    def _lock_file(self, task: Task) -> Path:
        return self._settings.state_directory / "locks" / f"{task.name}.lock"

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


def _only(device: str | None) -> list[str] | None:
    return [device] if device is not None else None
