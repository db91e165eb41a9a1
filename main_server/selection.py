"""Whom a round asks: pure rules, equal for equal seeds. No Flask, no SQL, no files."""

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from shared.federated.policies import RoundSettings
from shared.federated.task import Task


class Chosen(NamedTuple):
    """Whom a round asks.

    Attributes:
        asked: their names, sorted; None: every device.
        quorum: how many of their updates make its version; None: all that come count.
    """

    asked: list[str] | None
    quorum: int | None


class Candidate(NamedTuple):
    """A device that has pictures of the task.

    Attributes:
        is_ready: it is there and can take part now.
        is_present: it is there, even if something keeps it from taking part.
        rests_until: the number of the first round that asks it again; None: it is not rested.
    """

    is_ready: bool
    rests_until: int | None = None
    is_present: bool = True

    def rests(self, number: int) -> bool:
        """Whether it is rested in the round ``number``."""
        return self.rests_until is not None and number < self.rests_until


def ranking(candidates: Collection[str], seed: int, number: int) -> list[str]:
    """The candidates in the order in which round ``number`` asks them, by chance.

    Each name, in alphabetical order, draws 64 bits of a PCG64 generator (O'Neill 2014,
    HMC-CS-2014-0905) that NumPy's SeedSequence([seed, number]) seeds; who draws less comes
    first. Both are streams that NumPy keeps, so the order is the same with every version of it.
    """
    names = sorted(candidates)
    drawn = np.random.PCG64(np.random.SeedSequence([seed, number])).random_raw(len(names))
    return [name for _, name in sorted(zip(drawn.tolist(), names, strict=True))]


def selects(settings: RoundSettings) -> bool:
    """Whether a round asks some devices and not simply all."""
    return settings.number is not None or settings.fraction < 1


def choose(candidates: Collection[str], task: Task, number: int) -> Chosen:
    """Whom round ``number`` asks; at least those that it needs, and ``over_selection`` more.

    Args:
        candidates: the devices that can take part as it opens.
    """
    settings = task.rounds
    if not selects(settings):
        return Chosen(None, None)
    # The fraction is a decimal number: 0.1 of 30 devices are three of them.
    share = math.ceil(settings.fraction * len(candidates) - 1e-9)
    wanted = share if settings.number is None else settings.number
    needed = max(task.needed_updates, min(wanted, len(candidates)))
    asked = ranking(candidates, task.seed, number)[: needed + settings.over_selection]
    return Chosen(sorted(asked), needed)


def awake(candidates: Mapping[str, Candidate], number: int, needed: int) -> set[str]:
    """The candidates of round ``number`` without those that rest.

    With them, where too few of the others are ready: nobody waits for a rest to be over.
    """
    told = {name for name, each in candidates.items() if not each.rests(number)}
    ready = sum(candidates[name].is_ready for name in told)
    return told if ready >= max(1, needed) else set(candidates)


def wanted(
    task: Task,
    number: int,
    candidates: Mapping[str, Candidate],
    chosen: Chosen | None = None,
    sent: Collection[str] = (),
    *,
    is_given_up: bool = False,
) -> set[str]:
    """Whom a step of round ``number`` asks now.

    Args:
        chosen: whom it asks since it opened; None: it is not open yet.
        sent: devices whose update is here.
        is_given_up: see :func:`stand_ins`.

    Returns:
        Names: also of those who stand in for others.
    """
    up = awake(candidates, number, task.needed_updates)
    if chosen is None:
        chosen = choose({name for name in up if candidates[name].is_ready}, task, number)
    if chosen.asked is None:
        return up
    others = stand_ins(task, number, candidates, chosen, sent, is_given_up=is_given_up)
    return {*chosen.asked, *others}


def stand_ins(
    task: Task,
    number: int,
    candidates: Mapping[str, Candidate],
    chosen: Chosen,
    sent: Collection[str] = (),
    *,
    is_given_up: bool = False,
) -> list[str]:
    """Who takes the places of devices that round ``number`` asks and that are gone.

    Args:
        chosen: whom it asks, with those who stand in already.
        sent: devices whose update is here.
        is_given_up: its time is over, and with less updates than it needs it waits no more
            for those that it asks: they are as good as gone.

    Returns:
        As many as its quorum lacks, or what it needs when its time is over, as far as there are
        any; in the order of the same ranking.
    """
    if chosen.asked is None:
        return []
    up = awake(candidates, number, task.needed_updates)
    able = {name for name in up if candidates[name].is_ready}
    asked, here = set(chosen.asked), set(sent)
    if is_given_up:
        missing = task.needed_updates - len(here)
    else:
        missing = (chosen.quorum or task.needed_updates) - len((asked & able) | here)
    return ranking(able - asked - here, task.seed, number)[: max(0, missing)]
