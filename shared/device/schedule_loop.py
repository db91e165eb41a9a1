"""A device that trains by itself: when its schedule says so, by the same steps that people call.

What is to be done is read from the store: an update that was not sent is sent; then, when it is
time, the next one is trained. So a device that was killed goes on where it was.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shared.device import pictures
from shared.device.main_server_client import MainServer, MainServerAway
from shared.device.remote import NOT_ASKED, RemoteProblem
from shared.device.settings import DeviceSettings
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


@dataclass
class _State:
    """What is not worth keeping of one task."""

    failures: int = 0
    not_before: float = 0.0
    #: The main server was away; as soon as it is back, no pause is waited for.
    away: bool = False
    #: Files of updates that the main server does not want, and of those trained here.
    refused: set[str] = field(default_factory=set)
    trained: set[str] = field(default_factory=set)


class ScheduleLoop:
    """Trains and sends by itself, one task at a time. Call :meth:`start` once.

    Args:
        is_asked: whether the main server's open round of a task asks this device.
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
        is_asked: Callable[[str], bool],
        tell: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._schedule = settings.schedule_rule
        self._store = store
        self._uploads = uploads
        self._main_server = main_server
        self._steps = steps
        self._jobs = jobs
        self._is_asked = is_asked
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
                if not error.is_about_the_content or error.kind == NOT_ASKED:
                    raise  # the same update is sent again, later
                _log.warning("task %s: the update was refused: %s", task.name, error.detail)
                state.refused = {pending.file}
            return 0
        now = time.time()
        due = self._schedule.next_time(now, pending.trained if pending else None)
        if due is None or due > now:
            return min(_LOOK_SECONDS, _LOOK_SECONDS if due is None else due - now)
        if self._awaited(row, pending) or not self._has_pictures(row):
            return _WAIT_SECONDS
        self._work(task.name, "modeltrain", lambda job: self._steps.train(task, {}, job))
        if trained := self._store.pending(row.name):
            state.trained = {trained.file}
        return 0

    def _awaited(self, row: KnownTask, pending: PendingUpdate | None) -> str | None:
        """What has to come before a synchronous task is trained again; None: nothing."""
        if row.task.mode == "async":
            return None
        refused = self._states.get(row.name, _State()).refused
        is_over = pending and (pending.answer is not None or pending.file in refused)
        if pending and is_over and (row.version is None or row.version <= pending.base_version):
            return f"a newer version than {pending.base_version}"
        if not self._is_asked(row.name):
            return "a round that asks this device"
        return None

    def _has_pictures(self, row: KnownTask) -> bool:
        directory, counts = self._settings.pictures(row.name), self._uploads.counts(row.task)
        return pictures.has_training_pictures(directory, row.task, counts)

    def _work(self, task: str, step: Step, work: Work) -> None:
        """Run a step as a job; the main server is told of its end."""
        self._steps.turns.check_free(task)
        try:
            self._jobs.run(step, task, work)
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
            told = "The main server does not answer. What is trained is sent when it does."
        elif isinstance(error, FedbellError):
            told = f"{error.detail} It is tried again by itself."
        else:
            _log.exception("task %s", task)
            told = f"{type(error).__name__}: {error}. It is tried again by itself."
        if self.problems.get(task) != told:
            _log.warning("The schedule, task %s: %s", task, told)
        self.problems[task] = told
        scattered = pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads devices
        state.not_before = time.monotonic() + scattered
