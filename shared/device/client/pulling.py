"""How a client gets the newest version; the first client of a task makes it."""

from pathlib import Path

from shared.device.client.calls import Calls
from shared.device.client.learning import Learning
from shared.device.client.state import Base, ClientState
from shared.device.main_server_client import Download
from shared.device.model_file import check_model, check_sent, sent_with
from shared.device.remote import RemoteProblem
from shared.federated.task import Task
from shared.federated.weights import move_durably

#: What the main server's problem is when it has no version of a task.
_NO_MODEL = frozenset({"no-model-yet", "not-found"})


def pull(calls: Calls, state: ClientState, task: Task, learner: Learning) -> None:
    """Have the newest version, and note for which update; own weights are forgotten.

    The strategy that comes with it is the task's from then on.

    Raises:
        Unavailable, Stopped, RemoteProblem: it did not come.
        UnfitModel: it is not what it should be; nothing has changed.
    """
    before, number = state.progress.base, state.progress.sequence + 1
    incoming = state.path("incoming.safetensors")
    etag, told = _download(calls, task, learner, before.etag if before else "", incoming)
    if etag is None and before:
        base = before.model_copy(update={"pulled_for": number})
    else:
        version = check_model(
            incoming, task, None, learner.fingerprint, learner.backbone, state.progress.federation
        )
        file, sent = f"version-{version}-{number}.safetensors", None
        if sent_with(incoming) is not None:
            sent = f"sent-{version}-{number}.safetensors"
            calls.pull_sent(task.name, version, state.path(sent))
            check_sent(state.path(sent), task, incoming)
        move_durably(incoming, state.path(file))
        base = Base(version=version, file=file, etag=etag or "", sent=sent, pulled_for=number)
    kept, goes_by = state.progress.kept_for(base.version), calls.strategies.read(task, told)
    state.keep(base=base, own=None, kept=kept, task=goes_by or task)


def _download(calls: Calls, task: Task, learner: Learning, etag: str, target: Path) -> Download:
    try:
        return calls.pull(task.name, etag, target)
    except RemoteProblem as error:
        if error.kind not in _NO_MODEL:
            raise
    learner.write_initial(target)
    calls.offer(task.name, target)
    return calls.pull(task.name, "", target)
