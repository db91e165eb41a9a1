"""Train on upload: after pictures came, the device trains, sends the update and says so.

What is to be done is read from the store alone: pictures that no training had, and an update with
new pictures in it that was not sent. So a device that was killed goes on where it was.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shared.device import pictures
from shared.device.auto_train_notes import AutoTrainNotes, NewUpdate
from shared.device.connection import MainServerAway
from shared.device.main_server_client import MainServer
from shared.device.remote import RemoteProblem
from shared.device.settings import DeviceSettings
from shared.device.steps import Steps
from shared.device.store import Store
from shared.device.turns import Step, StepRunning
from shared.device.uploads import Uploads
from shared.errors import FedbellError
from shared.federated.task import Task
from shared.web.jobs import JobCancelled, JobControl, Jobs, Work

_log = logging.getLogger(__name__)

#: It looks again so often, in seconds, when nobody wakes it.
_LOOK_SECONDS = 5.0
#: While another step runs, or the main server is away, it looks so often.
_WAIT_SECONDS = 0.5
#: Pauses after failures, in seconds: doubled from the first to the longest.
_FIRST_PAUSE, _LONGEST_PAUSE, _MOST_DOUBLINGS = 1.0, 300.0, 10
#: Who had an update trained, the main server in a round say, sends it; after so long it does not.
_OTHERS_SEND_SECONDS = 15.0


@dataclass
class _State:
    """What is not worth keeping of one task."""

    untrained: int = 0
    #: When pictures came last.
    changed: float = field(default_factory=time.monotonic)
    failures: int = 0
    #: Of updates, one after another.
    refusals: int = 0
    not_before: float = 0.0
    #: The main server was away; as soon as it is back, no pause is waited for.
    away: bool = False
    #: Somebody stopped the training: it waits for new pictures, or for the switch.
    stopped: bool = False


class AutoTrain:
    """Trains on upload, one task at a time. Call :meth:`start` once.

    Args:
        tell: called after each step it took.
    """

    def __init__(
        self,
        settings: DeviceSettings,
        store: Store,
        uploads: Uploads,
        main_server: MainServer,
        steps: Steps,
        jobs: Jobs,
        tell: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._notes = AutoTrainNotes(store.database, settings.device_name)
        self._uploads = uploads
        self._main_server = main_server
        self._steps = steps
        self._jobs = jobs
        self._tell = tell
        self._look_now = threading.Event()
        self._states: dict[str, _State] = {}
        #: The task and the id of the job that runs.
        self._job: tuple[str, str] | None = None
        #: By task, why it could not be trained or sent the last time.
        self.problems: dict[str, str] = {}

    def start(self) -> None:
        """Start its thread."""
        threading.Thread(target=self._run, name="auto-train", daemon=True).start()

    def is_on(self, task: str) -> bool:
        """Whether a task is trained on upload."""
        switched = self._notes.is_on(task)
        return self._settings.auto_train if switched is None else switched

    def switch(self, task: str, on: bool) -> None:
        """Switch it; off stops the training that it has begun."""
        if self.is_on(task) != on or self._notes.is_on(task) is None:
            self._notes.switch(task, on)
        if not on:
            self.problems.pop(task, None)
            running = self._job
            if running and running[0] == task:
                self._jobs.cancel(running[1])
        self.wake(task)

    def wake(self, task: str) -> None:
        """Pictures of a task came or were labelled; it waits until no more come."""
        self._states[task] = _State()
        self._look_now.set()

    def _run(self) -> None:
        while True:
            self._look_now.clear()
            try:
                tasks = [row.task for row in self._store.tasks() if self.is_on(row.name)]
                pause = min((self._attend(task) for task in tasks), default=_LOOK_SECONDS)
            except Exception:  # noqa: BLE001 - the next look may work
                _log.exception("training on upload failed")
                pause = _LOOK_SECONDS
            self._look_now.wait(pause)

    def _attend(self, task: Task) -> float:
        """Do what is to be done for a task now; seconds until it should be looked at again."""
        state = self._states.setdefault(task.name, _State())
        untrained = self._uploads.untrained(task)
        if untrained != state.untrained:
            state.untrained, state.changed, state.stopped = untrained, time.monotonic(), False
        update = self._notes.new_update(task.name)
        if not (update or untrained):
            self.problems.pop(task.name, None)
            return _LOOK_SECONDS
        if update and (update.is_refused or (untrained and not update.by_itself)):
            update = None  # it is trained anew
        pause = self._pause(state, update)
        if state.stopped or pause > 0:
            return pause or _LOOK_SECONDS
        try:
            if update:
                self._finish(task, update, state)
            elif self._has_training_pictures(task):
                self._train(task)
            else:
                return _LOOK_SECONDS
        except StepRunning:
            return _WAIT_SECONDS
        except Exception as error:  # noqa: BLE001 - it is told, and tried again
            self._failed(task, state, error)
        else:
            state.away = False
            self.problems.pop(task.name, None)
        return 0

    def _pause(self, state: _State, update: NewUpdate | None) -> float:
        """Seconds until the update may be sent, or without one, until it may be trained."""
        now = time.monotonic()
        if state.away and self._main_server.reachability.reachable:
            state.away, state.not_before = False, 0
        if update is None:
            quiet = state.changed + self._settings.auto_train_quiet_seconds - now
        elif update.by_itself:
            quiet = 0
        else:
            age = time.time() - update.row.trained
            quiet = min(_OTHERS_SEND_SECONDS - age, _OTHERS_SEND_SECONDS)
        failed = state.not_before - now
        return max(0, quiet, min(failed, _WAIT_SECONDS) if state.away else failed)

    def _has_training_pictures(self, task: Task) -> bool:
        """Whether there is a picture to train on; if not, say so, once."""
        directory = self._settings.pictures(task.name)
        if pictures.has_training_pictures(directory, task, self._uploads.counts(task)):
            return True
        told = (
            "The pictures are to validate or to test; there is none to train on. Add one, or set "
            "what one is for to “to train on”."
        )
        if self.problems.get(task.name) != told:
            self.problems[task.name] = told
            self._notes.tell(task.name, f"Train on upload waits: {told}")
        return False

    def _train(self, task: Task) -> None:
        choice = {"epochs": self._settings.auto_train_epochs}
        self._work(
            task, "modeltrain", lambda job: self._steps.train(task, choice, job, by_itself=True)
        )

    def _finish(self, task: Task, update: NewUpdate, state: _State) -> None:
        """Send an update, unless it was sent meanwhile, and say in the log what it is.

        One that is refused is trained anew: once at once, then after pauses that grow.
        """
        answer = update.row.answer
        if answer is None:
            try:
                answer = self._work(
                    task, "sendmodel", lambda job: self._steps.send(task, None, job)
                )
            except RemoteProblem as error:
                if not error.is_about_the_content:
                    raise
                self._notes.refuse(task.name)
                state.refusals += 1
                if state.refusals > 1:
                    raise
                return
        elif not update.by_itself:
            self._notes.settle(task.name)
            return
        state.failures = state.refusals = 0
        self._notes.settle(task.name, update.told(answer["round"]))

    def _work(self, task: Task, step: Step, work: Work) -> dict[str, Any]:
        """Run a step as a job that the switch can stop; the main server is told of its end."""
        self._steps.turns.check_free(task.name)

        def run(control: JobControl) -> dict[str, Any]:
            self._job = task.name, control.job
            if not self.is_on(task.name):
                raise JobCancelled("Train on upload was switched off.")
            return work(control)

        try:
            return self._jobs.run(step, task.name, run)
        finally:
            self._job = None
            self._tell()

    def _failed(self, task: Task, state: _State, error: Exception) -> None:
        """Tell of a failure, and say when it is tried again."""
        if isinstance(error, JobCancelled):
            state.stopped = True
            told = "It was stopped. It goes on with the next picture, or when it is switched on."
        elif isinstance(error, MainServerAway):
            state.away = True
            told = "The main server does not answer. It goes on as soon as that is back."
        elif isinstance(error, FedbellError):
            told = f"{error.detail} It is tried again by itself."
        else:
            _log.exception("task %s", task.name)
            told = f"{type(error).__name__}: {error}. It is tried again by itself."
        if self.problems.get(task.name) != told:
            _log.warning("Train on upload, task %s: %s", task.name, told)
        if self.is_on(task.name):
            self.problems[task.name] = told
        pause = _FIRST_PAUSE * 2 ** min(state.failures, _MOST_DOUBLINGS)
        state.not_before = time.monotonic() + min(pause, _LONGEST_PAUSE)
        state.failures += 1
