"""The heartbeat, and what a device does by itself when the main server answers it.

Three threads: one tells the main server how this device is and never waits for
the trainer; one sees to it that a step that takes its time, and pictures that come, are
told soon but not too often; and one offers the first version, and fetches what was
distributed while this device was away, by the same steps that people call.
"""

import logging
import random
import threading
import time
from collections.abc import Sequence
from typing import Any

from shared.device.awaiting import Heard, is_lost
from shared.device.connection import MainServerAway
from shared.device.main_server_client import MainServer
from shared.device.models import GlobalModels
from shared.device.overview import Overview
from shared.device.progress import SHORT_SECONDS
from shared.device.steps import Steps
from shared.device.store import Store
from shared.device.tables import KnownTask
from shared.device.turns import StepRunning
from shared.errors import FedbellError
from shared.web.jobs import JobCancelled, JobControl, Jobs

_log = logging.getLogger(__name__)

#: Pauses, in seconds, while the main server is away: doubled from the first to the last.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
#: A task that could not be looked after is left alone for so long.
_LEFT_ALONE_SECONDS = 30
#: What a step is at is told so often, in seconds.
_ACTIVITY_SECONDS = 1.0
#: Of confusions, one heartbeat carries so many cells: about half of what its body may hold.
_MOST_TRIPLES = 2000


class Heartbeat:
    """Keeps this device and the main server of one mind. Call :meth:`start` once."""

    def __init__(
        self,
        store: Store,
        main_server: MainServer,
        models: GlobalModels,
        steps: Steps,
        jobs: Jobs,
        overview: Overview,
    ) -> None:
        self._store = store
        self._main_server = main_server
        self._models = models
        self._steps = steps
        self._jobs = jobs
        self._overview = overview
        self._beat_now = threading.Event()
        self._tell_again = threading.Event()
        self._look_now = threading.Event()
        self._stirred = threading.Event()
        self._pictures_changed = threading.Event()
        #: By task, the last evaluation that the main server has with its confusion.
        self._known: dict[str, dict[str, Any]] = {}
        #: By task, how many pictures to test on there have been since a version was measured:
        #: the least.
        self._test_pictures: dict[str, int] = {}
        self._refusal: str | None = None
        self._not_before: dict[str, float] = {}
        #: The last answer; None: there was none yet.
        self.heard: Heard | None = None

    def start(self) -> None:
        """Start all threads."""
        self._steps.turns.when_taken = self._stirred.set
        for work in (self._beat, self._beat_while_stirring, self._look_after_tasks):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()

    def wake(self, only_news: bool = False) -> None:
        """A step was taken: tell the main server now, and look at every task again.

        Args:
            only_news: not if it would be told what it knows.
        """
        self._not_before.clear()
        if not only_news:
            self._tell_again.set()
        self._beat_now.set()

    def pictures_changed(self) -> None:
        """Pictures came or went: tell the main server in a moment, and look after the tasks."""
        self._pictures_changed.set()
        self._stirred.set()

    def _beat_while_stirring(self) -> None:
        """Beat for what changes often, at most once a second; not for steps that are short."""
        while True:
            self._stirred.wait()
            self._stirred.clear()
            time.sleep(SHORT_SECONDS)
            while True:
                if self._pictures_changed.is_set():
                    self._pictures_changed.clear()
                    self._not_before.clear()
                    self._beat_now.set()
                if (self._steps.turns.longest() or 0) < SHORT_SECONDS:
                    break
                if self._main_server.reachability.reachable and self._refusal is None:
                    self._beat_now.set()
                time.sleep(_ACTIVITY_SECONDS)

    def _beat(self) -> None:
        pause, due = _FIRST_PAUSE, 0.0
        told: dict[str, Any] | None = None
        while True:
            self._beat_now.clear()
            try:
                status = self._overview.heartbeat()
                again = self._tell_again.is_set() or time.monotonic() >= due
                if again or status != told:
                    self._tell_again.clear()
                    told = None
                    due = time.monotonic() + self._tell(status)
                    told = status
                seconds = due - time.monotonic()
                pause = _FIRST_PAUSE
            except FedbellError as error:
                self._refused(error)
                seconds = pause * random.uniform(0.8, 1.2)  # noqa: S311 - spreads devices
                pause = min(2 * pause, _LONGEST_PAUSE)
            except Exception:  # noqa: BLE001 - the next beat may work
                _log.exception("the heartbeat failed")
                seconds = _LONGEST_PAUSE
            self._beat_now.wait(max(0, seconds))

    def _tell(self, status: dict[str, Any]) -> float:
        """One heartbeat; seconds until the next."""
        body = self._without_known(status)
        began = time.monotonic()
        greeting = self._main_server.tell(body)
        self._refusal = self._overview.refusal = None
        first = not self._store.tasks()
        self._note_known(body, greeting.federation)
        self._store.adopt(
            greeting.federation,
            [
                (offer.task, offer.version, offer.distributed_version)
                for offer in greeting.tasks.values()
            ],
            began,
        )
        self.heard = Heard(greeting, began)
        self._look_back(self.heard)
        self._look_now.set()
        return 0 if first and greeting.tasks else greeting.heartbeat_seconds

    def _look_back(self, heard: Heard) -> None:
        """Notice that the main server forgot updates that it had acknowledged: sent once more, they
        count."""
        for name, offer in heard.greeting.tasks.items():
            pending = self._store.pending(name)
            if (
                pending is None
                or pending.answer is None
                or heard.began <= self._steps.sent_at(name)
            ):
                continue
            if is_lost(pending.base_version, offer):
                self._store.not_sent(pending)

    def _without_known(self, status: dict[str, Any]) -> dict[str, Any]:
        """``status`` with only those confusions that the main server may not have."""
        tasks, room = dict(status["tasks"]), _MOST_TRIPLES
        for name, told in tasks.items():
            evaluation = told["evaluation"] or {}
            cells = len(evaluation.get("confusion") or ())
            if cells > room or (cells and self._known.get(name) == evaluation):
                spared = {key: value for key, value in evaluation.items() if key != "confusion"}
                tasks[name] = told | {"evaluation": spared}
            else:
                room -= cells
        return status | {"tasks": tasks}

    def _note_known(self, told: dict[str, Any], federation: str) -> None:
        """Remember the confusions that were told, but to a federation that has those versions."""
        if federation != self._store.federation():
            self._known.clear()
            return
        for name, task in told["tasks"].items():
            if (task["evaluation"] or {}).get("confusion"):
                self._known[name] = task["evaluation"]

    def _refused(self, error: FedbellError) -> None:
        if isinstance(error, MainServerAway):
            return  # the client has said so
        if self._refusal != error.kind:
            _log.warning("The main server does not take the heartbeat: %s", error.detail)
        self._refusal, self._overview.refusal = error.kind, error.detail

    def _look_after_tasks(self) -> None:
        while True:
            self._look_now.wait()
            self._look_now.clear()
            for row in self._rows():
                if time.monotonic() < self._not_before.get(row.name, 0):
                    continue
                try:
                    changed = self._look_after(row)
                    changed = self._models.problems.pop(row.name, None) is not None or changed
                except StepRunning:
                    continue  # the next beat looks again
                except FedbellError as error:
                    _log.warning("task %s: %s", row.name, error.detail)
                    if not isinstance(error, (MainServerAway, JobCancelled)):  # told elsewhere
                        self._models.problems[row.name] = error.detail
                    self._leave_alone(row)
                    changed = True
                except Exception:  # noqa: BLE001 - other tasks may work
                    _log.exception("task %s", row.name)
                    self._leave_alone(row)
                    changed = False
                if changed:  # and perhaps the main server has something new to say
                    self._tell_again.set()
                    self._beat_now.set()

    def _rows(self) -> Sequence[KnownTask]:
        """The tasks that there are; none where the store cannot be read: the next beat looks again.

        A disk that is full may be the reason. It must not end the thread.
        """
        try:
            return self._store.tasks()
        except Exception:  # noqa: BLE001 - the next look may work
            _log.exception("the tasks cannot be read")
            return ()

    def _leave_alone(self, row: KnownTask) -> None:
        self._not_before[row.name] = time.monotonic() + _LEFT_ALONE_SECONDS

    def _look_after(self, row: KnownTask) -> bool:
        """Offer version 0, or fetch what was missed; whether there was something to do."""
        task = row.task
        counts = self._overview.counts(task)
        if not any(counts.values()):
            return False  # this device takes no part in the task
        self._models.prepare(task)
        if row.version is None:
            self._models.offer_initial(task)
            return True
        if task.mode == "async" and self._store.installed(task.name):
            return False  # versions come one after the other; a training pulls the newest
        wanted = row.distributed_version
        if wanted is None or self._has(task.name, wanted, counts["test"]):
            return False
        # A job only once it is its turn: people see what runs, not what waits.
        with self._steps.turns.take(task.name, "aggmodel") as turn:

            def install(control: JobControl) -> dict[str, Any]:
                turn.control = control
                return self._steps.install_in_turn(task, wanted, control)

            self._jobs.run("aggmodel", task.name, install)
        self._test_pictures[task.name] = counts["test"]
        return True

    def _has(self, task: str, version: int, test_pictures: int) -> bool:
        """Whether that version is installed and measured, as far as it can be, or a newer one."""
        model = self._store.installed(task)
        if model is None or model.version < version:
            return False
        if model.version > version or model.evaluation:
            return True
        # One that could not be measured perhaps can with more pictures to test on.
        before = self._test_pictures.get(task, test_pictures)
        self._test_pictures[task] = min(before, test_pictures)
        return bool(model.problem) and test_pictures <= before
