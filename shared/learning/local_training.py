"""One training of a device, as its task's strategy wants it: from files to files.

A global version goes in, and what the device has kept; an update comes out, and what it keeps for
the next time.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.federated.aggregation import Strategy
from shared.federated.names import is_trained
from shared.federated.packing import read_update, write_update
from shared.federated.task import Task, TrainingSettings
from shared.federated.update import UpdateFact, UpdateHeader, short_history
from shared.federated.weights import Array, Schema, apart, read_weights, with_slots
from shared.learning.evaluation import evaluate
from shared.learning.local import local_part
from shared.learning.local.kept import (
    OWN,
    PERSONAL,
    RESIDUAL,
    Files,
    personal_of,
    read_kept,
    slots_of,
    write_kept,
)
from shared.learning.local.part import Begun, Ended, Told
from shared.learning.network import Network
from shared.learning.training import History, OnLook, train


@dataclass(frozen=True)
class Labelled:
    """What is trained on, and what is measured on after each epoch.

    Attributes:
        features: (n, *network.feature_shape), as the network extracts them.
        labels: int64 (n,), indices of the task's classes.
        validation: the same of other pictures; None: nothing is measured.
    """

    features: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    validation: tuple[npt.NDArray[Any], npt.NDArray[np.int64]] | None = None


@dataclass(frozen=True)
class Callbacks:
    """See :func:`shared.learning.training.train`."""

    on_epoch: Callable[[int, dict[str, float]], None]
    cancelled: Callable[[], bool]
    on_look: OnLook | None = None


def train_for(
    task: Task,
    network: Network,
    files: Files,
    pictures: Labelled,
    settings: TrainingSettings,
    seed: int,
    header: Mapping[str, Any],
    callbacks: Callbacks,
) -> History:
    """Train for the task's strategy, and write the update and what is kept.

    The same arguments give the same bytes, in every process on one machine.

    Args:
        task: its strategy is trained for; ``network`` is of a task with the same network.
        header: device, base_version, num_samples and whatever else of the update's header does not
            come from the training.

    Returns:
        See :func:`shared.learning.training.train`. The network has what was trained.

    Raises:
        NoPictures, TrainingCancelled, TrainingDiverged: nothing was written.
        NothingShared, NothingStays: the strategy makes no sense for this network.
    """
    files.keeps.unlink(missing_ok=True)  # of a training that ended amid writing
    rule, base = task.rule, read_weights(files.base)
    rule.check_network(Schema.of(base))
    kept = read_kept(rule, files.base, files.kept)
    start = base | personal_of(rule, kept)
    facts = _measured(rule, network, start, pictures)
    network.load(files.own_weights() if files.goes_on else start)
    part, begun = local_part(rule), Begun(_trained(base), kept, slots_of(files.sent))
    history = train(
        network,
        pictures.features,
        pictures.labels,
        settings,
        seed,
        pictures.validation,
        callbacks.on_epoch,
        callbacks.cancelled,
        callbacks.on_look,
        part.correction(begun),
    )
    weights = network.weights()
    brought = part.carried(begun, Ended(_trained(weights), network.training_loop.mean_gradient()))
    shared = {name: array for name, array in weights.items() if not rule.stays(name)}
    carried = {
        slot: {name: array for name, array in held.items() if name in shared}
        for slot, held in brought.items()
    }
    whole = with_slots(shared, carried)
    steps = settings.epochs * math.ceil(len(pictures.labels) / settings.batch_size)
    facts["num_steps"] = files.steps_before() + steps
    facts["learning_rate"] = settings.learning_rate
    fields: dict[str, Any] = {
        "task": task.name,
        "metrics": {name: values[-1] for name, values in history.items()},
        "history": short_history(history),
        "fingerprint": network.fingerprint,
        "strategy": None if rule.name == "fedavg" else rule.key,
        **{fact: facts[fact] for fact in rule.needs},
        **header,
    }
    residual = write_update(
        files.update,
        whole,
        base,
        UpdateHeader(**fields),
        task.compression,
        seed,
        kept.get(RESIDUAL, {}) if rule.owes else {},
    )
    told = Told(_trained(shared), carried)
    if task.compression.method != "none":
        plain, beside = apart(read_update(files.update, base, Schema.of(whole)))
        told = Told(_trained(plain), beside)
    keeps = dict(part.kept(begun, told))
    if owed := residual if rule.owes else kept.get(RESIDUAL):
        keeps[RESIDUAL] = owed
    if stays := {name: array for name, array in weights.items() if name not in shared}:
        keeps[PERSONAL] = stays
    if stays or carried or task.compression.method != "none":
        keeps[OWN] = weights
    write_kept(rule, files.base, keeps, files.keeps)
    return history


def _measured(
    rule: Strategy, network: Network, start: Mapping[str, Array], pictures: Labelled
) -> dict[UpdateFact, float]:
    """What a strategy wants to know of the weights before the training."""
    if "base_loss" not in rule.needs:
        return {}
    network.load(start)
    return {"base_loss": evaluate(network, pictures.features, pictures.labels).loss}


def _trained(weights: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array for name, array in weights.items() if is_trained(name)}
