"""Which strategy each task goes by: as tasks.toml says, or as people chose it since.

Several processes share it, so it is read each time. What an open round was begun with, it ends
with: as soon as it has updates, or trainings that would be in vain, a choice waits until it is
closed.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from sqlalchemy import select
from sqlalchemy.orm import Session

from main_server.arrivals import no_strategy
from main_server.rounds import OPEN
from main_server.store.round_rows import newest_round
from main_server.store.strategy_rows import as_json, choice_of, in_use, note_strategy, switch
from main_server.store.tables import ReceivedUpdate, Round, TaskStrategy
from main_server.store.versions import Versions
from shared.errors import ConfigurationError
from shared.federated.aggregation import STRATEGIES, NothingShared, NothingStays, Strategy
from shared.federated.choice import BadChoice, Choice
from shared.federated.strategy_words import in_words
from shared.federated.task import Task
from shared.federated.weights import open_weights
from shared.web.database import Database
from shared.web.events import record


class Strategies:
    """The strategies of all tasks.

    Args:
        versions: what their networks are like.
    """

    def __init__(self, database: Database, versions: Versions) -> None:
        self._database = database
        self._versions = versions

    def configure(self, tasks: Iterable[Task]) -> None:
        """At a start: take what tasks.toml says of each task, unless it said so before.

        Raises:
            ConfigurationError: a strategy that it names leaves nothing to combine.
        """
        with self._database.write() as session:
            for task in tasks:
                row, told = session.get(TaskStrategy, task.name), Choice.of(task)
                is_known = row is not None and _is_known(row)
                if row is not None and is_known and row.configured == as_json(told):
                    continue
                self._check_configured(task, told)
                if row is None:
                    row = _begin(session, task, told)
                elif not is_known:
                    words = f"there is no strategy {row.strategy} here, or not with its parameters"
                    text = f"{words}: {told.strategy} is used, as tasks.toml says"
                    record(session, "strategy_chosen", text, task=task.name)
                    switch(row, told)
                row.configured = as_json(told)
                _choose(session, task, row, told, "as tasks.toml says")

    def in_use(self, tasks: Mapping[str, Task]) -> dict[str, Task]:
        """The tasks, each with the strategy in use."""
        query = select(TaskStrategy.task, TaskStrategy.strategy, TaskStrategy.parameters)
        with self._database.read() as session:
            found = {row.task: row for row in session.execute(query)}
        return {
            name: Choice(found[name].strategy, found[name].parameters).applied(task)
            if name in found and task.mode == "sync"
            else task
            for name, task in tasks.items()
        }

    def of(self, task: Task) -> Task:
        """A task with the strategy in use."""
        with self._database.read() as session:
            return in_use(session, task)

    def following(self, task: str) -> Choice | None:
        """The strategy that a task goes by from the next round on; None: the one in use."""
        with self._database.read() as session:
            row = session.get(TaskStrategy, task)
        return None if row is None or row.following is None else choice_of(row.following)

    def choose(self, task: Task, choice: Choice, has_trainings: bool) -> int:
        """Use a strategy: at once, or once the round to come is closed if that has begun.

        Args:
            has_trainings: devices train for that round, or have what they could send.

        Returns:
            The number of the first round that goes by it.

        Raises:
            NoSteps: the task is asynchronous.
            NothingShared, NothingStays: it makes no sense for the task's network.
        """
        if task.mode == "async":
            raise no_strategy(task)
        self._check_network(task, choice)
        with self._database.write() as session:
            row = session.get_one(TaskStrategy, task.name)
            return _choose(session, task, row, choice, has_trainings=has_trainings)

    def settle(self, task: Task) -> None:
        """Before devices train: what follows is in use at once where nothing is waited for.

        For callers who know that no device trains for the round to come, or has what it could
        send: what did may have failed.
        """
        if self.following(task.name) is None:
            return
        with self._database.write() as session:
            row = session.get_one(TaskStrategy, task.name)
            newest = newest_round(session, task.name, with_updates=False)
            if row.following is None or (newest is not None and _has_updates(session, newest)):
                return
            choice = choice_of(row.following)
            words = in_words(choice.strategy, choice.all_parameters)
            text = f"strategy {words}: at once, for no training that it waited for is left"
            record(session, "strategy_chosen", text, task=task.name)
            switch(row, choice)
            if newest is not None and newest.status == OPEN:
                note_strategy(newest, choice.applied(task))

    def _check_configured(self, task: Task, choice: Choice) -> None:
        try:
            self._check_network(task, choice)
        except (NothingShared, NothingStays) as error:
            raise ConfigurationError(f"tasks.{task.name}: strategy: {error.detail}") from error

    def _check_network(self, task: Task, choice: Choice) -> None:
        """See Strategy.check_network, as far as there is a version to look at."""
        if task.mode == "async" or self._versions.find(task.name, 0) is None:
            return
        file = self._versions.path(self._versions.newest(task.name))
        with suppress(FileNotFoundError), open_weights(file) as weights:
            choice.rule.check_network(weights.schema)


def _begin(session: Session, task: Task, told: Choice) -> TaskStrategy:
    """The row of a task that had none. An open round of an earlier Fedbell goes by what it began
    with."""
    newest = newest_round(session, task.name, with_updates=False)
    if newest is not None and _has_updates(session, newest) and newest.strategy in STRATEGIES:
        told = Choice(newest.strategy, {})
    row = TaskStrategy(task=task.name, configured={})
    switch(row, told)
    session.add(row)
    return row


def _choose(
    session: Session,
    task: Task,
    row: TaskStrategy,
    choice: Choice,
    why: str | None = None,
    *,
    has_trainings: bool = False,
) -> int:
    """See :meth:`Strategies.choose`; ``why`` is told in the log."""
    newest = newest_round(session, task.name, with_updates=False)
    is_open = newest is not None and newest.status == OPEN
    number = 1 if newest is None else newest.number + (not is_open)
    now = Choice(row.strategy, row.parameters)
    before = now if row.following is None else choice_of(row.following)
    if choice == now:
        row.following = None
    elif task.mode == "sync" and _ends_as_it_began(session, newest, choice, task, has_trainings):
        row.following = as_json(choice)
        number += 1
    else:
        switch(row, choice)
        if newest is not None and is_open and task.mode == "sync":
            note_strategy(newest, choice.applied(task))
    if choice != before:
        words = in_words(choice.strategy, choice.all_parameters)
        told = f"strategy {words}: from round {number} on"
        record(session, "strategy_chosen", f"{told}, {why}" if why else told, task=task.name)
    return number


def _ends_as_it_began(
    session: Session, row: Round | None, choice: Choice, task: Task, has_trainings: bool
) -> bool:
    """Whether what devices did for the round to come is for the strategy in use.

    Not where updates are too few for that one, while the chosen one can combine them: the round
    could never end. Nor where devices have only trained, and the chosen one can combine what they
    will send.
    """
    now = _rule(session, task.name)
    is_for_both = choice.rule.takes_any_update and not (now.carries or now.keeps)
    if row is None or not _has_updates(session, row):
        return has_trainings and not is_for_both
    came = len({update.device for update in row.updates})
    return not (is_for_both and came < now.least_updates())


def _rule(session: Session, task: str) -> Strategy:
    row = session.get_one(TaskStrategy, task)
    return Choice(row.strategy, row.parameters).rule


def _has_updates(session: Session, row: Round) -> bool:
    """Whether a round is open, and updates of it are here."""
    if row.status != OPEN:
        return False
    query = select(ReceivedUpdate.device).where(ReceivedUpdate.round_id == row.id).limit(1)
    return session.scalar(query) is not None


def _is_known(row: TaskStrategy) -> bool:
    """Whether this Fedbell has the strategies that a row names; another one may have written it."""
    told = [Choice(row.strategy, row.parameters)]
    if row.following is not None:
        told.append(choice_of(row.following))
    try:
        for each in told:
            Choice.checked(each.strategy, each.parameters)
    except BadChoice:
        return False
    return True
