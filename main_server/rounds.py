"""The rules of a round: who may do what, when. No Flask, no SQL, no files.

A round leads from one global version to the next: devices train and send, the
main server aggregates and distributes. It is open while updates come in,
aggregated when they have become a version, distributed when devices have it; abandoned
when an older version was promoted before devices had anything of it.
"""

from collections.abc import Collection

from shared.errors import FedbellError
from shared.federated.aggregation.staleness import polynomial_weight
from shared.federated.task import Task
from shared.federated.update import UpdateHeader
from shared.federated.weights import SchemaMismatch

OPEN, AGGREGATED, DISTRIBUTED = "open", "aggregated", "distributed"
ABANDONED = "abandoned"

#: The steps of a round, in order.
STEPS = ("modeltrain", "sendmodel", "aggregate_models", "send_model_clients")


class StaleUpdate(FedbellError):
    """An update that started from another version than the round's."""

    status = 409
    title = "The update starts from another version"


class OtherStrategy(FedbellError):
    """An update that was trained for another strategy than its round's."""

    status = 409
    title = "The update was trained for another strategy"


class OtherBase(StaleUpdate):
    """An update that started from a version of a number that is another version here."""

    title = "The update starts from another version of that number"


class WrongDevice(FedbellError):
    """An update in another device's name."""

    status = 403
    title = "The update is another device's"


class TooFewUpdates(FedbellError):
    """A round without enough updates to aggregate."""

    status = 409
    title = "Too few updates"


class NoModelYet(FedbellError):
    """No device has offered version 0 of the task."""

    status = 409
    title = "There is no global model yet"


class NothingToDistribute(FedbellError):
    """No round has been aggregated."""

    status = 409
    title = "There is nothing to send yet"


class NotAsked(FedbellError):
    """An update of a device that its round does not ask."""

    status = 409
    title = "The device is not asked in this round"


class RoundFull(FedbellError):
    """A round that has all the updates that count."""

    status = 409
    title = "The round has its updates"


def check_update(
    header: UpdateHeader,
    *,
    task: Task,
    device: str,
    base_version: int,
    fingerprint: str,
    promoted: int | None = None,
    base_is_kept: bool = True,
) -> float:
    """Whether an update belongs to the round of ``task`` that starts from ``base_version``.

    Args:
        device: who sent it, by its token.
        fingerprint: that of the global model: schema and backbone.
        promoted: the newest version that is an older one again; None: there is none. What started
            before it was taken back with it.
        base_is_kept: whether the weights it started from are still there. Without them nobody
            can tell how far it moves them.

    Returns:
        By how much it counts: 1, or less where it comes late and the task merges such updates.
    """
    if header.device != device:
        raise WrongDevice(f"The update says it is {header.device}'s; the token is {device}'s.")
    if header.task != task.name:
        raise SchemaMismatch(f"The update is of task {header.task}; this call is for {task.name}.")
    if header.fingerprint != fingerprint:
        raise SchemaMismatch(
            "The update was made with another backbone or network than the global model. Give "
            f"every device the same backbone for {task.name}, then train again."
        )
    if header.base_version == base_version:
        return 1.0
    staleness = base_version - header.base_version
    most = task.rounds.most_staleness
    over = ""
    if staleness > 0:
        if promoted is not None and header.base_version < promoted:
            over = f" But {taken_back(promoted)}."
        elif task.rounds.late_updates == "drop":
            over = " That version's round is over."
        elif staleness > most:
            over = f" At most {most} versions may be newer ({task.name}: rounds.most_staleness)."
        elif not base_is_kept:
            over = " The weights of that version are not kept any more."
        else:
            return polynomial_weight(staleness, task.rounds.staleness_exponent)
    raise StaleUpdate(
        f"The update starts from version {header.base_version}; the round starts from "
        f"version {base_version}.{over} Run modeltrain on {device}, then sendmodel.",
        base_version=base_version,
    )


def check_strategy(checked: Task, now: Task) -> None:
    """Whether the strategy that an update was checked for is still the one in use.

    Args:
        checked, now: the task as it was then, and as it is.
    """
    if checked.rule != now.rule:
        raise OtherStrategy(
            f"While the update came, {now.rule.title} was chosen for {now.name}. Train again, then "
            "send."
        )


def taken_back(promoted: int | None) -> str:
    """Why an update does not count that started before a version was promoted."""
    return f"version {promoted} was promoted since: what was learned before does not count"


def check_place(
    task: Task,
    number: int,
    device: str,
    *,
    selected: Collection[str] | None,
    quorum: int | None,
    sent: Collection[str],
    is_late: bool,
) -> None:
    """Whether an open round takes an update of ``device``.

    Args:
        number: the round's.
        selected: whom it asks; None: every device.
        quorum: how many updates count; None: all.
        sent: devices whose own update of this round is here; they may send another one instead.
            Only looked at with a quorum, which counts these.
        is_late: the update started from an older version. It counts where late ones are merged,
            also of a device that only an earlier round has asked, and when the round is full.

    Raises:
        NotAsked, RoundFull
    """
    if selected is not None and device not in selected and not is_late:
        raise NotAsked(
            f"Round {number} of {task.name} asks {len(selected)} devices, and {device} is not "
            "among them. Its heartbeat tells when it is asked again; "
            f"POST /modeltrain?task={task.name}&device={device} asks it now."
        )
    # Late ones come on top: they take no place from who was asked in this round.
    is_full = quorum is not None and not is_late and len(set(sent)) >= quorum
    if is_full and device not in sent:
        rest = (
            "Send it again once its version is made: it counts then, as a late one."
            if task.rounds.late_updates == "merge"
            else "Train again in the next one."
        )
        raise RoundFull(
            f"Round {number} of {task.name} takes the first {quorum} updates, and they are here. "
            f"{rest}"
        )


def check_enough(task: Task, sent: Collection[str], devices: Collection[str]) -> None:
    """Whether the updates of ``sent`` suffice, which are devices; if not, say whose are missing."""
    here = len(set(sent))
    if here >= task.min_updates:
        return
    missing = sorted(set(devices) - set(sent))
    names = ", ".join(missing) or "no device is enrolled"
    told = (
        f"{here} of at least {task.min_updates} updates are here" if here else "No update is here"
    )
    way_out = (
        "This task aggregates by itself what comes; see its rounds."
        if task.auto_aggregate
        else "Run modeltrain and sendmodel first."
    )
    raise TooFewUpdates(
        f"{told}. Missing: {names}. {way_out}",
        missing=missing,
    )
