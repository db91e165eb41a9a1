"""Whom a round asks, when it ends, and how its updates count: in words. No Flask, no SQL."""

from dataclasses import dataclass

from main_server.asking import is_overdue
from main_server.pages.step_words import count
from main_server.rounds import OPEN
from main_server.store.tables import ReceivedUpdate, Round
from shared.federated.task import Task
from shared.web.filters import duration, percent


@dataclass(frozen=True)
class Ending:
    """What an open round waits for.

    Attributes:
        needs: what it needs and what is here: "needs 2 of 3 updates, 1 is here".
        deadline: when it ends, in seconds since 1970; None: when somebody aggregates.
        missing: how many updates it waits for although its deadline has passed; 0 before.
    """

    needs: str
    deadline: float | None
    missing: int


def ending(task: Task, row: Round | None, asked: int) -> Ending | None:
    """When and with what a round ends; None where nothing but the four steps decides.

    Args:
        asked: how many devices it asks.
    """
    if row is None or row.status != OPEN or task.mode != "sync":
        return None
    if row.deadline is None and row.selected is None and task.needed_updates == 1:
        return None
    here = len({update.device for update in row.updates})  # late ones besides are no quorum
    if row.quorum is not None and task.rounds.over_selection:
        needs = f"takes the first {row.quorum} of {count(asked, 'update')}"
    else:
        of = f" of {asked}" if asked >= task.needed_updates else ""
        noun = "update" if max(asked, task.needed_updates) == 1 else "updates"
        needs = f"needs {task.needed_updates}{of} {noun}"
    missing = max(0, task.needed_updates - here) if is_overdue(row) else 0
    return Ending(f"{needs}, {here} {'is' if here == 1 else 'are'} here", row.deadline, missing)


def aggregates_in_words(task: Task) -> str:
    """When rounds of a task are aggregated, and whom they ask."""
    settings = task.rounds
    told = []
    if task.auto_aggregate:
        told.append("by itself, when updates came")
    if settings.deadline_seconds is not None:
        told.append(f"by itself, {duration(settings.deadline_seconds)} after a round began")
    if settings.over_selection:
        told.append("by itself, when the first of those that are asked have sent")
    words = " or ".join(told) or "when somebody says so"
    if settings.number is not None:
        return f"{words}; a round needs {count(settings.number, 'device')}"
    if settings.fraction < 1:
        return f"{words}; a round needs {percent(settings.fraction)} of the devices"
    return words


def resting_in_words(rests_until: int | None, failures: int) -> str:
    """Of a rested device: "rested until round 12 after 3 failures"."""
    return f"rested until round {rests_until} after {count(failures, 'failure')}"


def update_in_words(update: ReceivedUpdate) -> str:
    """How an update counts: late, with which weight, and how far it went; may be empty."""
    told = []
    if update.weight is not None:
        since = "" if update.base_version is None else f" (from version {update.base_version})"
        told.append(f"late{since}: counted with weight {update.weight:.2f}")
    if update.norm is not None:
        told.append(f"norm of its change {update.norm:.3g}")
    return ", ".join(told)
