"""Training and measuring on pictures that are in memory, without a trainer process or a store.

For a client that is one process: it trains on one chunk of pictures after the other. The compiled
training belongs to the network, and the number of pictures is an argument of it, so a next chunk,
larger or smaller, costs no new trace. For a network with a backbone the features are computed in
each call: a device that trains on the same pictures again keeps them (shared/learning/features.py).
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shared.federated.task import TrainingSettings
from shared.learning.evaluation import Evaluation, evaluate
from shared.learning.network import Network
from shared.learning.training import History, OnLook, train


class LabelledPictures(Protocol):
    """Pictures and what they show, such as shared.datasets.chunks.Samples."""

    @property
    def pictures(self) -> npt.NDArray[np.uint8]:
        """uint8 (n, size, size, channels), as the network's task wants them."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64 (n,), indices of the task's classes."""


def train_on(
    network: Network,
    samples: LabelledPictures,
    settings: TrainingSettings,
    seed: int,
    on_epoch: Callable[[int, dict[str, float]], None],
    should_stop: Callable[[], bool],
    on_look: OnLook | None = None,
) -> History:
    """Train the network from the weights it has; the optimiser starts anew.

    Python runs signal handlers in the main thread alone, and not before a compiled function
    returns: whoever wants ``should_stop`` to hear of Ctrl-C trains in another thread.

    Args:
        network: its weights are changed; after an error they are what they were.
        samples: at least one.
        settings: epochs, batch size, learning rate, optimizer.
        seed: of the order of the pictures and of dropout. Equal seeds give equal bits on one
            machine with equally many threads (convolutions add up what each thread has), once
            :func:`shared.learning.determinism.make_deterministic` was called.
        on_epoch: called after each epoch, counted from 1, with "loss" and "accuracy".
        should_stop: asked after each epoch, and a few times a second.
        on_look: see shared.learning.training.OnLook.

    Returns:
        "loss" (mean cross entropy, nats) and "accuracy" (0 to 1) over the pictures as they were
        trained on: one number an epoch.

    Raises:
        NoPictures: there is nothing to train on.
        TrainingCancelled: ``should_stop`` said so.
        TrainingDiverged: loss or weights are NaN or infinite.
        ValueError: pictures of another shape.
    """
    features = network.extract(samples.pictures)
    return train(
        network, features, samples.labels, settings, seed, None, on_epoch, should_stop, on_look
    )


def evaluate_on(network: Network, samples: LabelledPictures) -> Evaluation:
    """Measure the network with the weights it has: accuracy, loss, confusion.

    Raises:
        NoPictures: there are none.
        ValueError: pictures of another shape.
    """
    return evaluate(network, network.extract(samples.pictures), samples.labels)
