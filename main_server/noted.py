"""How the aggregation of the open round goes, noted for the pages."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from main_server.rounds import OPEN
from main_server.step_results import failure
from main_server.store.round_steps import MAIN_SERVER, RoundSteps, StepEnd
from main_server.store.rounds import Rounds
from shared.errors import FedbellError
from shared.federated.task import Task


@contextmanager
def noted_aggregation(
    rounds: Rounds, round_steps: RoundSteps, task: Task, job: str
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Note how the aggregation of the open round goes, if one is open.

    Returns:
        To be called with what is shown of the version, once it is made.
    """
    newest, step = rounds.newest(task.name), "aggregate_models"
    if newest is None or newest.status != OPEN:
        yield lambda _: None
        return

    def end(how: StepEnd) -> None:
        round_steps.end(task.name, newest.number, step, {MAIN_SERVER: how})

    round_steps.begin(task.name, newest.number, step, [MAIN_SERVER], job)
    try:
        yield lambda result: end(StepEnd(result))
    except Exception as error:
        told = (
            error
            if isinstance(error, FedbellError)
            else FedbellError(f"{type(error).__name__}: {error}.")
        )
        end(failure(step, MAIN_SERVER, told.as_problem()))
        raise
