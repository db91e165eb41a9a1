"""What each step of a round is on each device. No Flask, no SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from main_server.offers import Offer
from main_server.pages.participants import Participant
from main_server.pages.round_words import resting_in_words, update_in_words
from main_server.pages.step_words import (
    BY_ITSELF,
    OF_DEVICE,
    activity_in_words,
    outcome_in_words,
)
from main_server.rounds import ABANDONED, AGGREGATED, DISTRIBUTED, OPEN
from main_server.store.round_steps import FAILED, MAIN_SERVER, RUNNING
from main_server.store.tables import DeviceStep, Round
from shared.federated.activity import Activity

#: What needs attention comes first.
_ORDER = ("failed", "lost", "running", "waiting", "done")


@dataclass(frozen=True)
class DeviceRow:
    """One device in one step.

    Attributes:
        name: empty for the main server itself.
        kind, word: its state, as ``ui.state`` shows it.
        words: what it is at or what came of it; for what failed, why and what to do.
        activity: how far it is, for a bar.
        since: when it began what it is at, in seconds since 1970; None when it is at nothing.
        seconds: how long it took; None while it runs.
        can_retry: whether the step can be taken again on this device alone.
        is_asked: whether the round waits for it.
        can_wake: it is rested, and may be asked again at once.
        outlier: why its update stands out from the others; None: it does not.
    """

    name: str
    kind: str
    word: str
    words: str = ""
    activity: Activity | None = None
    since: float | None = None
    seconds: float | None = None
    attempts: int = 1
    can_retry: bool = False
    is_asked: bool = True
    can_wake: bool = False
    outlier: str | None = None


@dataclass(frozen=True)
class Current:
    """What the current round is made of.

    Attributes:
        row: None for a round in which no device has trained yet.
        busy: a job of this task runs.
        version: the newest.
        asked: the devices that its steps ask; None: every one.
    """

    number: int
    row: Round | None
    device_steps: Sequence[DeviceStep]
    participants: Sequence[Participant]
    offers: Mapping[str, Offer]
    busy: bool
    version: int | None
    asked: frozenset[str] | None = None

    @property
    def status(self) -> str | None:
        """The round's; None before a device has trained in it."""
        return self.row.status if self.row else None

    @property
    def is_over(self) -> bool:
        """Whether nothing of it remains to be done."""
        return self.status in (DISTRIBUTED, ABANDONED)


def device_rows(current: Current, name: str) -> list[DeviceRow]:
    """The devices in the step ``name``, and the main server in its own step."""
    known = {step.device: step for step in current.device_steps if step.step == name}
    devices = {device.name: device for device in current.participants}
    rows = [_row(current, step, devices.get(step.device)) for step in known.values()]
    rows += [
        _row_of_silent(current, device, name)
        for device in current.participants
        if device.name not in known and _is_awaited(current, device, name, bool(known))
    ]
    if name == "sendmodel":
        rows = [_with_update(current, row) for row in rows]
    return sorted(rows, key=lambda row: (not row.is_asked, _ORDER.index(row.kind), row.name))


def _with_update(current: Current, row: DeviceRow) -> DeviceRow:
    """What its updates are beside that they came: late, and far from the others."""
    updates = current.row.updates if current.row else []
    told = [update for update in updates if update.device == row.name]
    if not told or row.kind != "done":
        return row
    several = f"{len(told)} updates count" if len(told) > 1 else ""
    words = ", ".join(filter(None, (row.words, several, *map(update_in_words, told))))
    outliers = [update.outlier for update in told if update.outlier]
    return replace(row, words=words, outlier=" ".join(outliers) or None)


def _is_awaited(current: Current, device: Participant, name: str, begun: bool) -> bool:
    """Whether a device without a note in this step has a row there nevertheless."""
    if not _is_under_way(current, name):
        return False
    if _at(device, name):
        return True
    return begun and name != "aggregate_models" and device.num_samples > 0


def _is_under_way(current: Current, name: str) -> bool:
    """Whether what a device does by itself in a step is for this round."""
    if name == "send_model_clients":
        return current.status == AGGREGATED
    return current.status in (None, OPEN)


def by_itself(current: Current) -> list[tuple[str, str]]:
    """Devices at work of their own accord, not for this round, and at what: in words."""
    if current.busy:  # they are at its job, or their last heartbeat still tells of it
        return []
    known = {(step.device, step.step): step for step in current.device_steps}
    told = []
    for device in current.participants:
        if not (activity := device.activity):
            continue
        name = OF_DEVICE[activity.step]
        step = known.get((device.name, name))
        if _is_under_way(current, name) or (step and not _began_after(device, step)):
            continue
        does = BY_ITSELF[activity.step].format(round=current.number + 1)
        told.append((device.name, f"{does}: {activity_in_words(activity)}"))
    return told


def _at(device: Participant | None, name: str) -> Activity | None:
    """What a device is at, if it is at this step."""
    activity = device.activity if device else None
    return activity if activity and OF_DEVICE[activity.step] == name else None


def _row(current: Current, step: DeviceStep, device: Participant | None) -> DeviceRow:
    if step.state == RUNNING:
        return _running(step, device)
    anew = device and not current.busy and _is_under_way(current, step.step)
    if device and anew and _began_after(device, step):
        return _row_of_silent(current, device, step.step)
    seconds = None if step.finished is None else step.finished - step.started
    if step.state == FAILED:
        problem = step.problem or {}
        return DeviceRow(
            step.device,
            "failed",
            "failed",
            problem.get("detail") or "Nobody noted why.",
            seconds=seconds,
            attempts=step.attempts,
            can_retry=_can_retry(current, step),
        )
    words = outcome_in_words(step.step, step.result) if step.result else ""
    return DeviceRow(
        step.device, "done", "done", words, seconds=seconds, attempts=max(1, step.attempts)
    )


def _began_after(device: Participant, step: DeviceStep) -> bool:
    """Whether a device is at a step anew; its last heartbeat may still tell of the former time."""
    activity = _at(device, step.step)
    began = device.last_seen - activity.elapsed_seconds if activity else 0.0
    return began > (step.finished or step.started)


def _running(step: DeviceStep, device: Participant | None) -> DeviceRow:
    if device is not None and not device.is_online:
        return DeviceRow(
            step.device,
            "lost",
            "lost",
            "Nothing was heard of it for three heartbeats. Start it again; the step goes on "
            "without it when its call has failed.",
            since=step.started,
            attempts=step.attempts,
        )
    activity = _at(device, step.step)
    words = activity_in_words(activity) if activity else ""
    return DeviceRow(
        step.device,
        "running",
        "running",
        words,
        activity=activity,
        since=step.started,
        attempts=step.attempts,
    )


def _row_of_silent(current: Current, device: Participant, name: str) -> DeviceRow:
    """A device that this server has not asked, or that works by itself."""
    if activity := _at(device, name):
        words = f"by itself: {activity_in_words(activity)}"
        since = device.last_seen - activity.elapsed_seconds
        return DeviceRow(device.name, "running", "running", words, activity, since)
    if current.asked is not None and device.name not in current.asked:
        if device.rests_until is not None and current.number < device.rests_until:
            words = resting_in_words(device.rests_until, device.failures)
            return DeviceRow(device.name, "waiting", "rested", words, is_asked=False, can_wake=True)
        return DeviceRow(
            device.name, "waiting", "not asked", "not asked in this round", is_asked=False
        )
    if not device.is_online:
        return DeviceRow(device.name, "lost", "lost", "Start it again, and it catches up.")
    if device.problem:
        return DeviceRow(device.name, "failed", "not ready", device.problem)
    words = "comes by itself" if device.comes_by_itself else ""
    return DeviceRow(device.name, "waiting", "waiting", words)


def _can_retry(current: Current, step: DeviceStep) -> bool:
    if current.busy or step.device == MAIN_SERVER:
        return False
    if step.step == "send_model_clients":
        # Only as long as it is still the version that is sent.
        is_newest = current.row is not None and current.row.version == current.version
        return is_newest and current.status in (AGGREGATED, DISTRIBUTED)
    return current.status in (None, OPEN)
