"""The rules of asynchronous tasks: which update counts. No Flask, no SQL, no files.

Such a task has no steps. An update that arrives changes the global model at once, or waits in a
buffer until there are enough of them; a round is what made one version together.
"""

from main_server import rounds
from main_server.rounds import StaleUpdate
from shared.errors import FedbellError
from shared.federated.task import Task
from shared.federated.update import UpdateHeader


class NoSteps(FedbellError):
    """A step that makes no sense for an asynchronous task."""

    status = 409
    title = "The task takes no such step"


def check_arrival(
    header: UpdateHeader,
    *,
    task: Task,
    device: str,
    newest: int,
    fingerprint: str,
    promoted: int | None,
    base_is_kept: bool,
) -> int:
    """Whether an update counts, and how stale it is: how many versions newer the newest is.

    Args:
        device: who sent it, by its token.
        newest: the newest version.
        fingerprint: that of the global model: schema and backbone.
        promoted: the newest version that is an older one again; None: there is none.
        base_is_kept: whether the weights it started from are still there.

    Raises:
        WrongDevice, SchemaMismatch, StaleUpdate
    """
    base = header.base_version
    rounds.check_update(
        header, task=task, device=device, base_version=base, fingerprint=fingerprint
    )
    most = task.asynchronous.most_staleness
    if base > newest:
        why = f"there is no version {base} of {task.name}"
    elif promoted is not None and base < promoted:
        why = rounds.taken_back(promoted)
    elif newest - base > most:
        why = f"at most {most} versions may have been made since ({task.name}: most_staleness)"
    elif not base_is_kept:
        why = "the weights of that version are not kept any more"
    else:
        return newest - base
    raise StaleUpdate(
        f"The update starts from version {base}, and {why}. The newest is version {newest}: "
        f"{device} has to pull it, and to train again.",
        base_version=newest,
    )


def no_aggregation(task: Task, buffered: int, needed: int) -> NoSteps:
    """What to tell who wants to aggregate.

    Args:
        buffered: how many updates wait to be combined.
        needed: how many make a version.
    """
    if needed == 1:
        return NoSteps(
            f"{task.name} is asynchronous: every update that arrives is the next version at once. "
            "GET /models/latest has them all."
        )
    return NoSteps(
        f"{task.name} is asynchronous: {needed} updates make a version by themselves, and "
        f"{buffered} of them are here.",
        buffered=buffered,
        buffer_size=needed,
    )


def no_rounds(task: Task) -> NoSteps:
    """What to tell who wants to run rounds."""
    return NoSteps(
        f"{task.name} is asynchronous: it has no rounds to run. Devices train and send when they "
        "like; modeltrain and then sendmodel ask those that can be called."
    )


def no_strategy(task: Task) -> NoSteps:
    """What to tell who chooses a strategy."""
    return NoSteps(
        f"{task.name} is asynchronous: it has no rounds that a strategy is for. Its updates are "
        f"combined as they arrive, by {task.asynchronous.rule}; tasks.toml says by which rule "
        "(asynchronous.rule)."
    )
