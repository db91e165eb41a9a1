"""A device that trains by itself: when its schedule says so, by the same steps that people call.

What is to be done is read from the store: an update that was not sent is sent; then, when it is
time, the next one is trained. So a device that was killed goes on where it was. While the main
server is away it trains on, as a client does.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shared.device import pictures
from shared.device.awaiting import Heard, awaited, counts_later, went_back
from shared.device.connection import MainServerAway
from shared.device.greeting import TaskOffer
from shared.device.main_server_client import MainServer
from shared.device.offline import is_passing
from shared.device.remote import NOT_ASKED, OTHER_BASE, OTHER_STRATEGY, RemoteProblem
from shared.device.settings import DeviceSettings
from shared.device.starts import Offline, trainings_of
from shared.device.steps import Steps
from shared.device.store import Store
from shared.device.tables import KnownTask, PendingUpdate
from shared.device.turns import Step, StepRunning
from shared.device.uploads import Uploads
from shared.errors import FedbellError
from shared.web.jobs import JobCancelled, Jobs, Work

_log = logging.getLogger(__name__)

#: It looks again so often, in seconds: while nothing is to be done, and while a step runs or a
#: version is awaited.
_LOOK_SECONDS, _WAIT_SECONDS = 5.0, 0.5
#: Pauses after failures, in seconds: doubled from the first to the longest, and scattered.
_FIRST_PAUSE, _LONGEST_PAUSE, _MOST_DOUBLINGS = 1.0, 60.0, 10
#: A training that a person stopped is not begun again for so long.
_STOPPED_SECONDS = 300.0
#: Who had an update trained, the main server in a round say, sends it; after so long it does not.
_OTHERS_SEND_SECONDS = 15.0
#: An update that cannot be sent is trained on until it holds so many trainings. A device has always
#: the same pictures: with more it would only learn them by heart.
_MOST_TRAININGS = 5
_AWAY = "The main server does not answer."


@dataclass
class _State:
    """What is not worth keeping of one task."""

    failures: int = 0
    not_before: float = 0.0
    #: The main server was away; as soon as it is back, no pause is waited for.
    away: bool = False
    #: What was trained last was trained without it.
    offline: bool = False
    #: Files of updates that the main server does not want, each with its kind of problem; and of
    #: those trained here.
    refused: dict[str, str] = field(default_factory=dict)
    trained: set[str] = field(default_factory=set)


class ScheduleLoop:
    """Trains and sends by itself, one task at a time. Call :meth:`start` once.

    Args:
        heard: what the main server answered last to a heartbeat.
        tell: called after each step it took.

    Attributes:
        problems: by task, why it could not be trained or sent the last time.
    """

    def __init__(
        self,
        settings: DeviceSettings,
        store: Store,
        uploads: Uploads,
        main_server: MainServer,
        steps: Steps,
        jobs: Jobs,
        heard: Callable[[], Heard | None],
        tell: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._schedule = settings.schedule_rule
        self._store = store
        self._uploads = uploads
        self._main_server = main_server
        self._steps = steps
        self._jobs = jobs
        self._heard = heard
        self._tell = tell
        self._states: dict[str, _State] = {}
        self.problems: dict[str, str] = {}

    def start(self) -> None:
        """Start its thread, unless people alone say when."""
        if self._schedule.kind != "manual":
            threading.Thread(target=self._run, name="schedule", daemon=True).start()

    def takes_part(self, task: str) -> bool:
        """Whether a task is trained by the schedule."""
        chosen = self._settings.schedule_tasks
        return self._schedule.kind != "manual" and (not chosen or task in chosen)

    def status(self, row: KnownTask) -> dict[str, Any] | None:
        """What people are told of a task; None: it is not trained by itself.

        Returns:
            kind (such as "daily 22:00-06:00"), next (when the next training may begin, as
            ``time.time()``), waits_for (what has to come before, part of a sentence, or None),
            problem (why it failed the last time, a sentence, or None).
        """
        if not self.takes_part(row.name):
            return None
        pending, now = self._store.pending(row.name), time.time()
        return {
            "kind": str(self._schedule),
            "next": self._schedule.next_time(now, pending.trained if pending else None),
            "waits_for": self._awaited(row, pending),
            "problem": self.problems.get(row.name),
        }

    def _run(self) -> None:
        while True:
            pause = _LOOK_SECONDS
            try:
                for row in self._store.tasks():
                    if self.takes_part(row.name):
                        pause = min(pause, self._attend(row))
            except Exception:  # noqa: BLE001 - the next look may work
                _log.exception("the schedule failed")
            time.sleep(max(0.0, pause))

    def _attend(self, row: KnownTask) -> float:
        """Do what is to be done for a task now; seconds until it should be looked at again."""
        state = self._states.setdefault(row.name, _State())
        if state.away and self._main_server.reachability.reachable:
            state.away, state.not_before = False, 0.0
        if (rest := state.not_before - time.monotonic()) > 0:
            return min(rest, _WAIT_SECONDS)
        try:
            pause = self._do(row, state)
        except StepRunning:
            return _WAIT_SECONDS
        except Exception as error:  # noqa: BLE001 - it is told, and tried again
            self._failed(row.name, state, error)
            return _WAIT_SECONDS
        state.failures = 0
        if not state.offline:
            self.problems.pop(row.name, None)
        return pause

    def _do(self, row: KnownTask, state: _State) -> float:
        pending, task = self._store.pending(row.name), row.task
        if pending and pending.answer is None and pending.file not in state.refused:
            age = time.time() - pending.trained
            if pending.file not in state.trained and 0 <= age < _OTHERS_SEND_SECONDS:
                return _WAIT_SECONDS
            try:
                self._work(task.name, "sendmodel", lambda job: self._steps.send(task, None, job))
            except RemoteProblem as error:
                is_for_later = error.kind == NOT_ASKED or counts_later(error, task)
                if error.is_about_the_content and not is_for_later:
                    _log.warning("task %s: the update was refused: %s", task.name, error.detail)
                    state.refused, state.offline = {pending.file: error.kind}, False
                elif not self._trains_on(row, state, pending, error):
                    raise  # the same update is sent again, later
                return 0
            except FedbellError as error:
                if not self._trains_on(row, state, pending, error):
                    raise
                return 0
            state.offline = False
            return 0
        now = time.time()
        due = self._schedule.next_time(now, pending.trained if pending else None)
        if due is None or due > now:
            return min(_LOOK_SECONDS, _LOOK_SECONDS if due is None else due - now)
        if self._awaited(row, pending) or not self._has_pictures(row):
            return _WAIT_SECONDS
        self._train(row, state, pending)
        return 0

    def _trains_on(
        self, row: KnownTask, state: _State, pending: PendingUpdate, error: FedbellError
    ) -> bool:
        """After an update could not be sent: train it on, if it is time; whether that was done."""
        now = time.time()
        if not is_passing(error) or trainings_of(pending) >= _MOST_TRAININGS:
            return False
        due = self._schedule.next_time(now, pending.trained)
        if due is None or due > now or not self._has_pictures(row):
            return False
        state.offline = True
        self._say(row.name, f"{_AWAY} It trains on with what is here, and sends when it can.")
        self._train(row, state, pending, is_unsent=True)
        return True

    def _train(
        self,
        row: KnownTask,
        state: _State,
        pending: PendingUpdate | None,
        is_unsent: bool = False,
    ) -> None:
        own = pending.file if pending and pending.file not in state.refused else None
        offline = Offline(own, is_unsent, self._answered(row, pending))
        result = self._work(
            row.name,
            "modeltrain",
            lambda job: self._steps.train(row.task, {}, job, offline=offline),
        )
        state.offline = "reservation" in result
        if state.offline:
            self._say(row.name, f"{_AWAY} It trains on with what is here, and sends when it can.")
        if trained := self._store.pending(row.name):
            state.trained = {trained.file}

    def _answered(self, row: KnownTask, pending: PendingUpdate | None) -> int | None:
        """The version that the last update started from, if there is an answer to it.

        None also where that version is another one by now: it may be trained from again.
        """
        refusal = self._states.get(row.name, _State()).refused.get(pending.file if pending else "")
        if pending is None or refusal in {OTHER_BASE, OTHER_STRATEGY}:
            return None
        is_over = pending.answer is not None or refusal is not None
        return pending.base_version if is_over else None

    def _awaited(self, row: KnownTask, pending: PendingUpdate | None) -> str | None:
        """What has to come before a synchronous task is trained again; None: nothing."""
        if row.task.mode == "async":
            return None
        answered, heard = self._answered(row, pending), self._heard()
        offer = heard.greeting.tasks.get(row.name) if heard else None
        is_fresh = heard is not None and heard.began > self._steps.sent_at(row.name)
        if offer is None:  # what it told before this process began
            offer = TaskOffer(
                task=row.task, version=row.version, distributed_version=row.distributed_version
            )
        return awaited(answered, offer, is_fresh and went_back(answered, offer))

    def _has_pictures(self, row: KnownTask) -> bool:
        directory, counts = self._settings.pictures(row.name), self._uploads.counts(row.task)
        return pictures.has_training_pictures(directory, row.task, counts)

    def _work(self, task: str, step: Step, work: Work) -> dict[str, Any]:
        """Run a step as a job; the main server is told of its end."""
        self._steps.turns.check_free(task)
        try:
            return self._jobs.run(step, task, work)
        finally:
            self._tell()

    def _failed(self, task: str, state: _State, error: Exception) -> None:
        """Tell of a failure, and say when it is tried again."""
        pause = min(_FIRST_PAUSE * 2 ** min(state.failures, _MOST_DOUBLINGS), _LONGEST_PAUSE)
        state.failures += 1
        if isinstance(error, JobCancelled):
            pause, told = _STOPPED_SECONDS, f"It was stopped, and rests {_STOPPED_SECONDS:g} s."
        elif isinstance(error, MainServerAway):
            state.away = True
            told = f"{_AWAY} What is trained is sent when it does."
        elif isinstance(error, FedbellError):
            told = f"{error.detail} It is tried again by itself."
        else:
            _log.exception("task %s", task)
            told = f"{type(error).__name__}: {error}. It is tried again by itself."
        self._say(task, told)
        scattered = pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads devices
        state.not_before = time.monotonic() + scattered

    def _say(self, task: str, told: str) -> None:
        """Tell why a task does not go on as it should, in the log once."""
        if self.problems.get(task) != told:
            _log.warning("The schedule, task %s: %s", task, told)
        self.problems[task] = told
