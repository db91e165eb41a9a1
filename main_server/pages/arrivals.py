"""What has arrived at an asynchronous task, as people look at it. No Flask, no SQL."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from main_server.store.arrived import VERSIONS_LOOKED_AT, Counted, Overview
from shared.federated.aggregation import ASYNCHRONOUS_STRATEGIES, NUM_SAMPLES
from shared.federated.task import Task

#: So many of the newest updates.
ARRIVALS_SHOWN = 10
_MINUTE_SECONDS = 60.0

#: What a rule does with an update, in a few words.
_RULES = {
    "running_average": "the mean of all that was ever sent, weighted by samples",
    "fedasync": "each update moves the model towards itself, less when it is stale",
    "fedbuff": "a buffer of updates moves the model by their mean change",
}


@dataclass(frozen=True)
class ArrivalsView:
    """What is shown.

    Attributes:
        rows: the newest updates, newest first.
        rule: its name, and what it does.
        per_minute: how many versions were made in the last minute, as far as one looks back.
        waiting: how many updates wait in the buffer, of ``needed``.
        num_samples: how many samples were trained on so far; None before the first version.
    """

    rows: Sequence[Counted]
    rule: tuple[str, str]
    per_minute: float
    waiting: int
    needed: int
    num_samples: int | None

    @property
    def buffered(self) -> bool:
        """Whether several updates make a version."""
        return self.needed > 1


def arrivals(task: Task, told: Overview) -> ArrivalsView:
    """The panel of a task of mode async."""
    rule = task.asynchronous.rule
    kept = told.state or {}
    return ArrivalsView(
        rows=told.newest,
        rule=(rule, _RULES[rule]),
        per_minute=per_minute(told.made, time.time()),
        waiting=told.waiting,
        needed=ASYNCHRONOUS_STRATEGIES[rule].needed(task.asynchronous),
        num_samples=kept.get(NUM_SAMPLES),
    )


def per_minute(made: Sequence[float], now: float) -> float:
    """How many versions are made in a minute.

    Args:
        made: when the newest VERSIONS_LOOKED_AT were made, newest first, in seconds since 1970.
    """
    recent = [each for each in made if now - each < _MINUTE_SECONDS]
    if len(recent) < VERSIONS_LOOKED_AT:
        return float(len(recent))
    # There may be more of that minute than one has looked at.
    return _MINUTE_SECONDS * len(recent) / max(now - recent[-1], 1.0)
