"""What a client makes of the main server's answer to its heartbeat: rules, no calls."""

from shared.device.awaiting import awaited
from shared.device.client.state import Progress
from shared.device.greeting import Greeting, TaskOffer
from shared.errors import FedbellError
from shared.federated.task import Task


class NoSuchTask(FedbellError):
    """The main server does not have the client's task."""

    status = 404
    title = "There is no such task"


def offer_of(greeting: Greeting, task: str) -> TaskOffer:
    """What was told of a task. Raises NoSuchTask, naming those there are."""
    if task in greeting.tasks:
        return greeting.tasks[task]
    there_are = ", ".join(greeting.tasks) or "none"
    raise NoSuchTask(f"The main server has no task {task}. Its tasks: {there_are}.")


def why_anew(progress: Progress, federation: str, task: Task) -> str | None:
    """Why what was kept is of no use any more; None: it goes on."""
    if progress.federation is not None and progress.federation != federation:
        return (
            "The main server has begun a new federation; what was learned for the former one "
            "is forgotten."
        )
    if progress.task is not None and _network(progress.task) != _network(task):
        return f"The network of task {task.name} has changed; what was learned is forgotten."
    return None


def waits_for(progress: Progress, offer: TaskOffer | None) -> str | None:
    """What has to come before a synchronous task may be trained again; None: nothing.

    A main server that went back was noticed before: there is no last update any more.

    Args:
        offer: what the main server told last; None: nothing since this process began.
    """
    if progress.task is None or progress.task.mode != "sync":
        return None
    return awaited(progress.answered, offer, has_gone_back=False)


def can_go_on(progress: Progress, offer: TaskOffer | None) -> bool:
    """Whether a training that was interrupted may begin again from the same version.

    So an update comes out the same, bit for bit. Not if it would be refused by now, as far as
    numbers tell: the update says which version it started from by its bytes, too.
    """
    base, task = progress.base, progress.task
    if base is None or task is None or base.pulled_for != progress.sequence + 1:
        return False
    if offer is None or offer.version is None:
        return True
    staleness = offer.version - base.version
    if task.mode == "async":
        return 0 <= staleness <= task.asynchronous.most_staleness
    return staleness == 0


def _network(task: Task) -> tuple[object, int]:
    return task.network(), task.seed
