"""Measuring a network on pictures it has not been trained on."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.errors import FedbellError
from shared.learning.network import Network


class NoPictures(FedbellError):
    """Nothing to train on, or to measure on."""

    status = 409
    title = "There are no pictures"


@dataclass(frozen=True)
class Evaluation:
    """How well a network answers.

    Attributes:
        accuracy: share of the pictures whose most likely class is the right one.
        loss: mean cross entropy, in nats.
        num_samples: pictures measured on.
        confusion: int64 (classes, classes), pictures by right class and by answered class.
    """

    accuracy: float
    loss: float
    num_samples: int
    confusion: npt.NDArray[np.int64] = field(compare=False, repr=False)


def evaluate(
    network: Network, features: npt.NDArray[Any], labels: npt.NDArray[np.int64]
) -> Evaluation:
    """Measure the network as it stands, batch norm in inference mode.

    Args:
        network: answers.
        features: (n, *network.feature_shape), as the network extracts them.
        labels: int64 (n,), indices of the task's classes.

    Raises:
        NoPictures: there are none.
    """
    check_pictures(network, features, labels)
    logits = network.answer(features).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    surprise = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
    answers = logits.argmax(axis=1)
    classes = len(network.task.classes)
    counts = np.bincount(labels * classes + answers, minlength=classes * classes)
    return Evaluation(
        accuracy=float((answers == labels).mean()),
        loss=float(surprise.mean()),
        num_samples=len(labels),
        confusion=counts.reshape(classes, classes),
    )


def check_pictures(
    network: Network, features: npt.NDArray[Any], labels: npt.NDArray[np.int64]
) -> None:
    """Raise NoPictures when there are none, ValueError as :func:`check_shapes`."""
    check_shapes(network, features, labels)
    if not len(labels):
        raise NoPictures(
            f"Task {network.task.name} has no readable picture here. Put some into the "
            "folders of its classes."
        )


def check_shapes(
    network: Network, features: npt.NDArray[Any], labels: npt.NDArray[np.int64]
) -> None:
    """Raise ValueError when features and labels belong to different pictures or networks."""
    if features.shape != (len(labels), *network.feature_shape):
        raise ValueError(f"features are {features.shape} for {len(labels)} labels")
