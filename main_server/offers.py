"""Which step of a round can be taken now, and which comes next. No Flask, no SQL, no files."""

from collections.abc import Collection
from typing import NamedTuple

from main_server.rounds import ABANDONED, AGGREGATED, OPEN, STEPS

_NO_DEVICE = "No device is ready: what each of them says tells why."
_NO_VERSION = "There is no global model yet: a device is preparing version 0."
_COME = "Its devices come by themselves: they train and send without being asked."


class Offer(NamedTuple):
    """Whether a step can be taken now.

    Attributes:
        primary: it is the one that sensibly comes next.
        reason: why it makes no sense now, in a sentence for people; None: it can be taken.
    """

    primary: bool
    reason: str | None


def offers(
    status: str | None,
    sent: Collection[str],
    ready: Collection[str],
    trained: Collection[str],
    min_updates: int,
    version: int | None,
    *,
    quorum: int | None = None,
    comes: Collection[str] = (),
) -> dict[str, Offer]:
    """Which steps can be taken now, and which of them comes next: at most one.

    Args:
        status: of the newest round; None when there is none.
        sent: devices whose update has come, in an open round.
        ready: devices that are asked and can take part: online, without a problem, with pictures.
        trained: devices that have trained in an open round and have it still.
        version: the newest; None when there is none.
        quorum: how many updates the open round takes; None: any number.
        comes: devices that can take part and cannot be called: they come by themselves.

    Returns:
        By step, in order.
    """
    to_train = set(ready) - set(trained) - set(sent)
    to_send = set(ready) & set(trained) - set(sent)
    is_open = status == OPEN
    if is_full := is_open and quorum is not None and len(sent) >= quorum:
        to_train = to_send = set()
    if version is None or not (ready or comes or (is_open and sent)):
        why = _NO_VERSION if ready or comes else _NO_DEVICE
        return {step: Offer(primary=False, reason=why) for step in STEPS}
    reasons = {
        "modeltrain": _no_training(status, ready, to_train, version),
        "sendmodel": None if is_open and to_send else _no_sending(status, sent, trained, version),
        "aggregate_models": _no_aggregation(status, len(sent), min_updates, version),
        "send_model_clients": _no_distribution(status, [*ready, *comes], version),
    }
    if is_full:
        full = f"The round takes the first {quorum} updates, and they are here."
        reasons |= {"modeltrain": full, "sendmodel": full}
    elif not ready and comes and status != AGGREGATED and not to_send:
        reasons |= {"modeltrain": _COME, "sendmodel": _COME}
    if status == AGGREGATED:
        order: tuple[str, ...] = ("send_model_clients",)
    elif is_open:
        order = ("sendmodel", "modeltrain", "aggregate_models")
    else:
        order = ("modeltrain",)
    primary = next((step for step in order if reasons[step] is None), None)
    return {step: Offer(step == primary, reason) for step, reason in reasons.items()}


def _no_training(
    status: str | None, ready: Collection[str], to_train: Collection[str], version: int
) -> str | None:
    if status == AGGREGATED:
        return f"Version {version} is not with the devices yet: send it first."
    if not ready:
        return _NO_DEVICE
    if status == OPEN and not to_train:
        return "Every device that is ready has trained in this round."
    return None


def _no_sending(
    status: str | None, sent: Collection[str], trained: Collection[str], version: int
) -> str:
    if status == AGGREGATED:
        return f"The updates of this round are version {version} already."
    away = sorted(set(trained) - set(sent)) if status == OPEN else []
    if away:
        return f"{', '.join(away)} has something to send, but is not ready."
    if status == OPEN and sent:
        return "Every device that has trained has sent its update."
    return "No device has trained in this round yet: train first."


def _no_aggregation(status: str | None, updates: int, min_updates: int, version: int) -> str | None:
    if status == AGGREGATED:
        return f"The updates of this round are version {version} already."
    if status != OPEN or not updates:
        return "There is no update of this round yet: train and send first."
    if updates < min_updates:
        return f"{updates} of at least {min_updates} updates are here: another device has to send."
    return None


def _no_distribution(status: str | None, ready: Collection[str], version: int) -> str | None:
    if not ready:
        return _NO_DEVICE
    if status == AGGREGATED:
        return None
    if status == OPEN:
        return "The updates of this round are no version yet: aggregate first."
    if status == ABANDONED:
        return f"Devices install version {version}, which was promoted, by themselves."
    return f"Version {version} is with the devices already."
