"""Aggregating by itself: an update came, and nobody has to press a button.

Only for tasks that say ``auto_aggregate``. Each process looks after the updates it received,
and when it starts after those that a killed one left. Whoever has the task's turn first makes
the version; the others find nothing to do. What fails is tried again, after pauses that grow.
"""

import logging
import threading
from collections.abc import Iterable
from functools import partial

from main_server.rounds import AGGREGATED, OPEN
from main_server.steps import Steps
from main_server.store.rounds import Rounds
from shared.errors import FedbellError
from shared.federated.task import Task
from shared.web.jobs import Jobs

_log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 300.0


class AutoAggregate:
    """One thread a task that waits for updates. Call :meth:`start` once."""

    def __init__(self, rounds: Rounds, steps: Steps, jobs: Jobs) -> None:
        self._rounds = rounds
        self._steps = steps
        self._jobs = jobs
        self._came: dict[str, threading.Event] = {}

    def start(self, tasks: Iterable[Task]) -> None:
        """Look after those of ``tasks`` that want it, first after what is there already."""
        for task in tasks:
            if task.auto_aggregate:
                self._came[task.name] = threading.Event()
                self._came[task.name].set()
                threading.Thread(
                    target=self._look_after,
                    args=(task,),
                    name=f"auto-aggregate-{task.name}",
                    daemon=True,
                ).start()

    def update_came(self, task: Task) -> None:
        """An update of ``task`` is stored; it returns at once."""
        if came := self._came.get(task.name):
            came.set()

    def _look_after(self, task: Task) -> None:
        came, pause = self._came[task.name], None
        while True:
            is_new = came.wait(pause)
            came.clear()  # before looking: what comes from now on is looked at again
            if self._succeeds(task, again=not is_new):
                pause = None
            else:
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS) if pause else _FIRST_PAUSE_SECONDS

    def _succeeds(self, task: Task, *, again: bool) -> bool:
        """Whether nothing is left to do. It never raises."""
        try:
            if again and not self._may_succeed(task):
                return False
            self._aggregate_what_came(task)
        except FedbellError as error:  # it is in the job's row
            _log.warning("aggregating %s by itself: %s", task.name, error.detail)
            return False
        except Exception:  # noqa: BLE001 - the next time may fare better
            _log.exception("aggregating %s by itself", task.name)
            return False
        return True

    def _may_succeed(self, task: Task) -> bool:
        """Whether another try makes sense: nothing can be sent out while no device is there."""
        newest = self._rounds.newest(task.name)
        is_made = newest is not None and newest.status == AGGREGATED
        return not is_made or self._steps.is_any_ready(task)

    def _aggregate_what_came(self, task: Task) -> None:
        if not self._is_due(task):
            return
        with self._steps.in_turn(task):
            # A step that was running may have made a version of it meanwhile. A job only once
            # it is its turn: people see what runs, not what waits.
            if self._is_due(task):
                work = partial(self._steps.aggregate_by_itself, task)
                self._jobs.run("auto_aggregate", task.name, work)

    def _is_due(self, task: Task) -> bool:
        """Whether there is something to aggregate, or to send out."""
        newest = self._rounds.newest(task.name)
        if newest is None or newest.status == AGGREGATED:
            return newest is not None
        return newest.status == OPEN and len(newest.updates) >= task.min_updates
