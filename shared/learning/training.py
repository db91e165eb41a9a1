"""Training one network's tail on one device's features."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from shared.errors import FedbellError
from shared.federated.task import TrainingSettings
from shared.learning.evaluation import check_pictures, evaluate
from shared.learning.network import Network

#: Metric name to one number per epoch.
History = dict[str, list[float]]


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
) -> History:
    """Train the tail from the weights it has; Adam starts anew in every call.

    Args:
        network: its tail is changed; after an error it has the weights it came with.
        features: (n, *network.feature_shape), as the network extracts them; may be mapped
            from a file, it is read one batch at a time.
        labels: int64 (n,), indices of the task's classes.
        settings: epochs, batch size, learning rate.
        seed: of the order of the pictures. Equal seeds give equal bits on one machine.
        validation: features and labels to measure on after each epoch; None or empty: no.
        on_epoch: called after each epoch, counted from 1, with that epoch's metrics.
        cancelled: asked before each batch.

    Returns:
        "loss" and "accuracy" over the pictures as they were trained on, and with
        validation pictures "val_loss" and "val_accuracy": one number per epoch.

    Raises:
        NoPictures: there is nothing to train on.
        TrainingCancelled: ``cancelled`` said so.
        TrainingDiverged: loss or weights are NaN or infinite.
    """
    check_pictures(network, features, labels)
    if network.compiled is None:
        network.compiled = _compile(network)
    compiled: _Compiled = network.compiled
    compiled.restart(settings.learning_rate)
    before = network.weights()
    history: History = {}
    generator = np.random.default_rng(seed)
    try:
        for epoch in range(1, settings.epochs + 1):
            order = generator.permutation(len(labels))
            metrics = _epoch(compiled, features, labels, order, settings.batch_size, cancelled)
            if not (math.isfinite(metrics["loss"]) and _is_finite(network)):
                raise TrainingDiverged(
                    f"The loss of task {network.task.name} is no number any more in epoch "
                    f"{epoch}: train again with a learning rate lower than "
                    f"{settings.learning_rate:g}."
                )
            if validation is not None and len(validation[1]):
                measured = evaluate(network, *validation)
                metrics |= {"val_loss": measured.loss, "val_accuracy": measured.accuracy}
            for name, value in metrics.items():
                history.setdefault(name, []).append(value)
            on_epoch(epoch, metrics)
    except BaseException:
        network.load(before)
        raise
    return history


@dataclass(frozen=True)
class _Compiled:
    """What outlives a call: the traced step and the optimiser it is tied to."""

    step: Any
    optimizer: Any

    def restart(self, learning_rate: float) -> None:
        """Forget all moments; the trace is kept."""
        for variable in self.optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        self.optimizer.learning_rate.assign(learning_rate)


def _compile(network: Network) -> _Compiled:
    """Trace one training step, for batches of any size."""
    tail = network.tail
    optimizer = keras.optimizers.Adam()
    optimizer.build(tail.trainable_variables)

    def step(features: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = tail(features, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, tail.trainable_variables)
        optimizer.apply(gradients, tail.trainable_variables)
        right = tf.cast(tf.argmax(logits, axis=1) == labels, tf.float32)
        return tf.stack([tf.reduce_sum(losses), tf.reduce_sum(right)])

    signature = [
        tf.TensorSpec(tail.input.shape, tail.input.dtype),
        tf.TensorSpec((None,), tf.int64),
    ]
    traced = tf.function(step, input_signature=signature).get_concrete_function()
    return _Compiled(traced, optimizer)


def _epoch(
    compiled: _Compiled,
    features: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
    batch_size: int,
    cancelled: Callable[[], bool],
) -> dict[str, float]:
    """One pass over all pictures in the given order; the last batch may be smaller."""
    sums = []
    for begin in range(0, len(order), batch_size):
        if cancelled():
            raise TrainingCancelled("The training was cancelled; the model is as it was before.")
        batch = order[begin : begin + batch_size]
        sums.append(compiled.step(tf.constant(features[batch]), tf.constant(labels[batch])))
    loss, right = np.array([pair.numpy() for pair in sums], np.float64).sum(axis=0)
    return {"loss": float(loss / len(order)), "accuracy": float(right / len(order))}


def _is_finite(network: Network) -> bool:
    return all(np.isfinite(array).all() for array in network.weights().values())
