"""Aggregating by itself: an update came, or a round's time is over; nobody presses a button.

For tasks that say ``auto_aggregate``, for rounds with a deadline, and for those that take the
first updates. Each process looks after the updates it received, after the deadline of the open
round, and when it starts after what a killed one left. Whoever has the task's turn first makes
the version; the others find nothing to do. What fails is tried again, after pauses that grow;
while the database is away, only up to the time after which it looks anyway.

A process that took the last update may die for good, and another one open a round. So each looks
once in three heartbeats besides, a query or two; otherwise it sleeps until the next deadline. A
round that another process opens meanwhile ends no sooner than its whole time after that, so one
look in that time, if it is shorter, sees every deadline before it passes.
"""

import logging
import threading
import time
from collections.abc import Iterable
from functools import partial

from main_server.asking import is_overdue
from main_server.rounds import AGGREGATED, OPEN
from main_server.steps import Steps
from main_server.store.round_rows import own_senders
from main_server.store.rounds import Rounds
from main_server.store.strategies import Strategies
from main_server.store.tables import Round
from shared.errors import FedbellError
from shared.federated.task import Task
from shared.web.database import DatabaseAway
from shared.web.jobs import Jobs

_log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 300.0
#: How long :meth:`AutoAggregate.stop` waits for a step that goes on.
_STOP_SECONDS = 10.0


def ends_by_itself(task: Task) -> bool:
    """Whether rounds of a task may be aggregated without a button."""
    settings = task.rounds
    ends = settings.deadline_seconds is not None or settings.over_selection > 0
    return task.mode == "sync" and (task.auto_aggregate or ends)


def is_due(task: Task, newest: Round | None) -> bool:
    """Whether the newest round is to be aggregated, or sent out, without a button."""
    if newest is None or not ends_by_itself(task):
        return False
    if newest.status == AGGREGATED:
        # One that somebody aggregates before its deadline may be sent out with a button too.
        is_over = newest.deadline is not None and newest.deadline <= time.time()
        return task.auto_aggregate or is_over or _is_first_come(task)
    updates = len({update.device for update in newest.updates})
    if newest.status != OPEN or updates < task.needed_updates:
        return False
    is_full = newest.quorum is not None and len(own_senders(newest)) >= newest.quorum
    is_full = is_full and _is_first_come(task)
    return task.auto_aggregate or is_full or is_overdue(newest)


def _is_first_come(task: Task) -> bool:
    return task.rounds.over_selection > 0


class AutoAggregate:
    """One thread a task that waits for updates and deadlines. Call :meth:`start` once.

    Args:
        look_seconds: how soon a process sees, at the latest, what others received and left.
    """

    def __init__(
        self,
        rounds: Rounds,
        steps: Steps,
        strategies: Strategies,
        jobs: Jobs,
        look_seconds: float,
    ) -> None:
        self._rounds = rounds
        self._steps = steps
        self._strategies = strategies
        self._jobs = jobs
        self._look_seconds = look_seconds
        self._came: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []
        self._stopped = False

    def start(self, tasks: Iterable[Task]) -> None:
        """Look after those of ``tasks`` that want it, first after what is there already."""
        for task in tasks:
            if ends_by_itself(task):
                self._came[task.name] = threading.Event()
                self._came[task.name].set()
                thread = threading.Thread(
                    target=self._look_after,
                    args=(task,),
                    name=f"auto-aggregate-{task.name}",
                    daemon=True,
                )
                self._threads.append(thread)
                thread.start()

    def stop(self) -> None:
        """Look after nothing any more; what goes on may end first, within a while."""
        self._stopped = True
        for came in self._came.values():
            came.set()
        for thread in self._threads:
            thread.join(_STOP_SECONDS)

    def look_again(self, task: Task) -> None:
        """An update of ``task`` is stored, or its strategy chosen; it returns at once."""
        if came := self._came.get(task.name):
            came.set()

    def _look_after(self, task: Task) -> None:
        came, pause = self._came[task.name], None
        while True:
            is_new = came.wait(self._sleep_seconds(task, pause))
            came.clear()  # before looking: what comes from now on is looked at again
            if self._stopped:
                return
            longest = self._try(task, again=not is_new and pause is not None)
            grown = 2 * pause if pause else _FIRST_PAUSE_SECONDS
            pause = None if longest is None else min(grown, longest)

    def _sleep_seconds(self, task: Task, pause: float | None) -> float:
        """How long nothing has to be looked at, unless an update comes."""
        longest = self._look_seconds if pause is None else pause
        whole = task.rounds.deadline_seconds
        if whole is None:
            return longest
        try:
            newest = self._rounds.newest(task.name)
        except DatabaseAway:  # it has told so, in a line
            return pause or _FIRST_PAUSE_SECONDS
        except Exception:  # noqa: BLE001 - the next time may fare better
            _log.exception("looking for the deadline of %s", task.name)
            return pause or _FIRST_PAUSE_SECONDS
        waits = newest is not None and newest.status in (OPEN, AGGREGATED)
        if newest is None or not waits or newest.deadline is None:
            return min(whole, longest)
        left = newest.deadline - time.time()
        return min(left, longest) if left > 0 else longest  # overdue: it waits for updates

    def _try(self, task: Task, *, again: bool) -> float | None:
        """Do what there is to do; None when nothing is left. It never raises.

        Returns:
            How long, in seconds, the pause before the next try may grow.
        """
        try:
            if again and not self._may_succeed(task):
                return _LONGEST_PAUSE_SECONDS
            self._aggregate_what_came(task)
        except DatabaseAway:  # it has told so, in a line; a look costs little when it is back
            return self._look_seconds
        except FedbellError as error:  # it is in the job's row
            _log.warning("aggregating %s by itself: %s", task.name, error.detail)
            return _LONGEST_PAUSE_SECONDS
        except Exception:  # noqa: BLE001 - the next time may fare better
            _log.exception("aggregating %s by itself", task.name)
            return _LONGEST_PAUSE_SECONDS
        return None

    def _may_succeed(self, task: Task) -> bool:
        """Whether another try makes sense: nothing can be sent out while no device is there."""
        newest = self._rounds.newest(task.name)
        is_made = newest is not None and newest.status == AGGREGATED
        return not is_made or self._steps.is_any_ready(task)

    def _aggregate_what_came(self, task: Task) -> None:
        if not self._is_due(task):
            return
        with self._steps.in_turn(task, lambda: self._is_due(task)) as is_wanted:
            # A step that was running may have made a version of it meanwhile. A job only once
            # it is its turn: people see what runs, not what waits.
            if is_wanted:
                work = partial(self._steps.aggregate_by_itself, task)
                self._jobs.run("auto_aggregate", task.name, work)

    def _is_due(self, task: Task) -> bool:
        return is_due(self._strategies.of(task), self._rounds.newest(task.name))
