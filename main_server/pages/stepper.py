"""A round as people look at it: four steps, each with a row per device. No Flask, no SQL."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from main_server.offers import Offer
from main_server.pages.device_rows import Current, DeviceRow, by_itself, device_rows
from main_server.pages.step_words import SHORT, STEPS, count
from main_server.rounds import ABANDONED, AGGREGATED, DISTRIBUTED, OPEN

#: Of more devices those that are done are folded away, and the rest of the others.
ROWS_SHOWN = 12

#: What a round is, by its status: a kind of state and a word.
_ROUND_STATES = {
    None: ("waiting", "not begun"),
    OPEN: ("waiting", "open"),
    AGGREGATED: ("waiting", "not sent out yet"),
    DISTRIBUTED: ("done", "finished"),
    ABANDONED: ("waiting", "abandoned"),
}
#: How far a round is behind which a step lies, also where nobody noted how it went.
_PASSED: Mapping[str, Sequence[str]] = {
    OPEN: (),
    AGGREGATED: ("modeltrain", "sendmodel", "aggregate_models"),
    DISTRIBUTED: tuple(STEPS),
}


@dataclass(frozen=True)
class StepView:
    """One step of the round.

    Attributes:
        offer: whether it can be taken now.
        rows: of devices, what needs attention first; ``folded`` ones are shown on demand.
    """

    name: str
    title: str
    short: str
    kind: str
    word: str
    offer: Offer
    rows: list[DeviceRow]
    folded: list[DeviceRow]
    since: float | None
    seconds: float | None


@dataclass(frozen=True)
class RoundView:
    """The current round.

    Attributes:
        is_over: nothing of it remains to be done; a training begins the next round.
        unchanged: devices that counted with the version the round began with, in sentences.
        by_itself: devices at work of their own accord, not for this round, and at what.
    """

    number: int
    kind: str
    word: str
    base_version: int | None
    is_over: bool
    steps: list[StepView]
    unchanged: list[str]
    by_itself: list[tuple[str, str]]


def stepper(current: Current) -> RoundView:
    """The round that is under way, or the one that ended last."""
    steps = [_step(current, name) for name in STEPS]
    kind, word = _ROUND_STATES[current.status]
    if any(step.kind == "running" for step in steps) or (current.busy and not current.is_over):
        kind, word = "running", "running"
    row = current.row
    unchanged = (row.unchanged if row else None) or {}
    return RoundView(
        number=current.number,
        kind=kind,
        word=word,
        base_version=row.base_version if row else current.version,
        is_over=current.is_over,
        steps=steps,
        unchanged=[
            f"{name} counted as unchanged ({count(samples, 'picture')})"
            for name, samples in unchanged.items()
        ],
        by_itself=by_itself(current),
    )


def _step(current: Current, name: str) -> StepView:
    rows = device_rows(current, name)
    passed = name in _passed(current)
    kind, word = _state(rows, passed, current.status == ABANDONED)
    running = [row.since for row in rows if row.since is not None]
    shown = len(rows)
    if shown > ROWS_SHOWN:
        shown = min(ROWS_SHOWN, sum(row.kind != "done" for row in rows))
    took = [row.seconds for row in rows if row.seconds is not None]
    return StepView(
        name=name,
        title=STEPS[name],
        short=SHORT[name],
        kind=kind,
        word=word,
        offer=current.offers[name],
        rows=rows[:shown],
        folded=rows[shown:],
        since=min(running, default=None),
        seconds=None if running else max(took, default=None),
    )


def _passed(current: Current) -> Sequence[str]:
    if current.row and current.status == ABANDONED:
        return _PASSED[OPEN if current.row.version is None else AGGREGATED]
    return _PASSED[current.status or OPEN]


def _state(rows: Collection[DeviceRow], passed: bool, abandoned: bool) -> tuple[str, str]:
    """What a step is, in a kind and a word, by what its devices are."""
    kinds = {row.kind for row in rows if row.is_asked}
    if any(row.since is not None for row in rows):
        return "running", "running"
    if "failed" in kinds:
        return "failed", "not on every device" if "done" in kinds else "failed"
    if passed:
        return "done", "done"
    if "done" in kinds:
        return ("waiting", "partly done") if kinds - {"done"} else ("done", "done")
    return "waiting", "not done" if abandoned else "waiting"
