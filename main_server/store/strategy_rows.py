"""The strategy of a task, read and switched within a transaction."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from main_server.store.tables import Round, TaskStrategy
from shared.federated.choice import Choice
from shared.federated.task import Task


def in_use(session: Session, task: Task) -> Task:
    """The task with the strategy that is in use now, whichever it had when it was read."""
    if task.mode == "async":  # it may have been chosen before the task was asynchronous
        return task
    row = session.get(TaskStrategy, task.name)
    return task if row is None else Choice(row.strategy, row.parameters).applied(task)


def note_strategy(row: Round, task: Task) -> None:
    """Note which strategy a round goes by: that of ``task``."""
    row.strategy, row.parameters = task.strategy, Choice.of(task).all_parameters


def switch(row: TaskStrategy, choice: Choice) -> None:
    """Use a strategy from now on."""
    row.strategy, row.parameters, row.following = choice.strategy, dict(choice.parameters), None


def note_updates_are_through(session: Session, task: str) -> None:
    """With the transaction that closes a round: what was chosen for the next one is in use now."""
    row = session.get(TaskStrategy, task)
    if row is not None and row.following is not None:
        switch(row, choice_of(row.following))


def choice_of(told: Mapping[str, Any]) -> Choice:
    """What a column holds."""
    return Choice(told["strategy"], told["parameters"])


def as_json(choice: Choice) -> dict[str, Any]:
    """For a column."""
    return {"strategy": choice.strategy, "parameters": dict(choice.parameters)}
