"""What is trained while the main server is away: the rules of devices and clients, no calls."""

from typing import Literal

from shared.device.connection import MainServerAway, MainServerFailed
from shared.device.remote import RemoteProblem
from shared.federated.task import Task

#: Statuses that say nothing about what was sent: called again, the answer may be another.
_PASSING = frozenset({408, 425, 429})
_SERVER_ERRORS = 500


def is_passing(error: BaseException) -> bool:
    """Whether the same call may succeed later: what is wrong is the main server, or the way to it.

    A disk of this machine that is full, say, is for people to put right.
    """
    if isinstance(error, RemoteProblem):
        status = int(error.as_problem()["status"])
        return status >= _SERVER_ERRORS or status in _PASSING or error.kind == "cut-short"
    return isinstance(error, (MainServerAway, MainServerFailed, ConnectionError, TimeoutError))


def offline_start(
    task: Task,
    *,
    own: int | None,
    is_acknowledged: bool,
    pulled: int | None,
    answered: int | None,
) -> Literal["own", "pulled"] | None:
    """Which weights to train on from when the newest version cannot be pulled.

    Its own, which have learned the most. But FedBuff adds what an update has changed since its
    version, so one that goes on from an acknowledged update would add that change a second time:
    it begins again from the version that was pulled last.

    Args:
        own: the version that its own weights started from; None: there are none.
        is_acknowledged: whether they are an acknowledged update.
        pulled: the version that was pulled last; None: none is here.
        answered: the version that the last answered update started from; None: none was.

    Returns:
        None: no weights are here, or the update would take the place of one that counts.
    """
    adds_changes = task.mode == "async" and task.asynchronous.rule == "fedbuff"
    goes_on = own is not None and not (is_acknowledged and adds_changes)
    base = own if goes_on else pulled
    if base is None or (task.mode == "sync" and answered is not None and base <= answered):
        return None
    return "own" if goes_on else "pulled"
