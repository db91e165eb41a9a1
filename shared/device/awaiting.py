"""What a synchronous task waits for after an update: the rules of devices and clients, no calls.

An update that starts from the version of the last one would take its place, so there has to be a
newer one. But a main server that went back to a backup has older versions again, or the same one
without the update: whoever only waited for a newer one would wait for ever.
"""

from dataclasses import dataclass

from shared.device.greeting import Greeting, TaskOffer
from shared.device.remote import ROUND_FULL, RemoteProblem
from shared.federated.task import Task


@dataclass(frozen=True)
class Heard:
    """What the main server answered to a heartbeat, and when that began (``time.monotonic()``).

    What it was sent since then the answer may not know of.
    """

    greeting: Greeting
    began: float


def went_back(answered: int | None, offer: TaskOffer | None) -> bool:
    """Whether the main server no longer has the version that the last update started from.

    Args:
        answered: that version; None: no update was answered yet.
        offer: what it said in a heartbeat that began after the update was answered; None: it has
            not said anything since.
    """
    if answered is None or offer is None:
        return False
    return offer.version is None or offer.version < answered


def is_lost(answered: int | None, offer: TaskOffer | None) -> bool:
    """Whether the main server has forgotten an update that it had acknowledged, and asks for it.

    If an answer that is on its way is taken for that, no harm is done: the same bytes again count
    once.

    Args:
        answered: the version that the update started from.
        offer: see :func:`went_back`.
    """
    if answered is None or offer is None or offer.version != answered:
        return False
    return offer.round is not None and offer.round.asked and offer.round.sent is False


def counts_later(error: RemoteProblem, task: Task) -> bool:
    """Whether an update that was refused counts, as a late one, once the round's version is made:
    the same bytes are sent again then."""
    return error.kind == ROUND_FULL and task.rounds.late_updates == "merge"


def awaited(answered: int | None, offer: TaskOffer | None, has_gone_back: bool) -> str | None:
    """What has to come before the task is trained again, part of a sentence; None: nothing.

    Args:
        answered: the version that the last answered update started from, if there is one.
        offer: what the main server said last, whenever that was.
        has_gone_back: see :func:`went_back`.
    """
    newest = offer.version if offer else None
    if answered is not None and not has_gone_back and (newest is None or newest <= answered):
        return f"a newer version than {answered}"
    if offer and offer.round and not offer.round.asked:
        return f"a round that asks it; round {offer.round.number} asks others"
    return None
