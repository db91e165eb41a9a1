"""Training one network's tail on one device's features."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.errors import FedbellError
from shared.federated.task import TrainingSettings
from shared.learning.evaluation import check_pictures, check_shapes
from shared.learning.local.part import Correction
from shared.learning.network import Network
from shared.learning.training_loop import TrainingLoop

#: Metric name to one number per epoch.
History = dict[str, list[float]]

#: Told a few times a second how many epochs are over, with the part of the one that runs, and the
#: mean loss and accuracy over that one's pictures so far.
OnLook = Callable[[float, float, float], None]


class TrainingCancelled(FedbellError):
    """Somebody asked for the training to stop."""

    status = 409
    title = "The training was cancelled"


class TrainingDiverged(FedbellError):
    """The loss is no number any more."""

    status = 422
    title = "The training diverged"


def train(
    network: Network,
    features: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    settings: TrainingSettings,
    seed: int,
    validation: tuple[npt.NDArray[Any], npt.NDArray[np.int64]] | None,
    on_epoch: Callable[[int, dict[str, float]], None],
    cancelled: Callable[[], bool],
    on_look: OnLook | None = None,
    correction: Correction | None = None,
) -> History:
    """Train the tail from the weights it has; the optimiser starts anew in every call.

    Args:
        network: its tail is changed; after an error it has the weights it came with.
        features: (n, *network.feature_shape), as the network extracts them; those that the
            feature store maps from a file are read where they lie, a batch at a time.
        labels: int64 (n,), indices of the task's classes.
        settings: epochs, batch size, learning rate, optimizer.
        seed: of the order of the pictures and of dropout. Equal seeds give equal bits on one
            machine.
        validation: features and labels to measure on after each epoch; None or empty: no.
        on_epoch: called after each epoch, counted from 1, with that epoch's metrics.
        cancelled: asked after each epoch, and a few times a second.
        on_look: see OnLook.
        correction: what a strategy adds to each gradient. After such a training
            ``network.training_loop.mean_gradient()`` tells what they were without.

    Returns:
        "loss" and "accuracy" over the pictures as they were trained on, and with
        validation pictures "val_loss" and "val_accuracy": one number per epoch.

    Raises:
        NoPictures: there is nothing to train on.
        TrainingCancelled: ``cancelled`` said so.
        TrainingDiverged: loss or weights are NaN or infinite.
    """
    check_pictures(network, features, labels)
    if validation is None:
        validation = features[:0], labels[:0]
    else:
        check_shapes(network, *validation)
    loop, is_corrected = network.training_loop, correction is not None
    if loop is None or (loop.optimizer, loop.is_corrected) != (settings.optimizer, is_corrected):
        loop = TrainingLoop(network.tail, settings.optimizer, is_corrected=is_corrected)
        network.training_loop = loop
    history: History = {}

    def after_epoch(epoch: int, metrics: dict[str, float]) -> bool:
        if not (math.isfinite(metrics["loss"]) and _is_finite(network)):
            raise TrainingDiverged(
                f"The loss of task {network.task.name} is no number any more in epoch "
                f"{epoch}: train again with a learning rate lower than "
                f"{settings.learning_rate:g}."
            )
        for name, value in metrics.items():
            history.setdefault(name, []).append(value)
        on_epoch(epoch, metrics)
        check_cancelled()
        return True

    def goes_on(epochs: float, loss: float, accuracy: float) -> bool:
        check_cancelled()
        if on_look:
            on_look(epochs, loss, accuracy)
        return True

    def check_cancelled() -> None:
        if cancelled():
            raise TrainingCancelled("The training was cancelled; the model is as it was before.")

    before = network.weights()
    try:
        check_cancelled()
        loop.run(features, labels, validation, settings, seed, after_epoch, goes_on, correction)
    except BaseException:
        network.load(before)
        raise
    return history


def _is_finite(network: Network) -> bool:
    return all(np.isfinite(array).all() for array in network.weights().values())
