"""Gradients with something added, in the graph of a training."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.federated.weights import Array
from shared.learning.loading import tf
from shared.learning.local.part import Correction


class Bending:
    """Adds a correction to each gradient, and keeps the sum of what they were without.

    Args:
        names: of the trained variables.
        variables: these, as TensorFlow's.
    """

    def __init__(self, names: Sequence[str], variables: Sequence[Any]) -> None:
        self._names, self._variables = names, variables
        self._offsets, self._anchors, self._sums = (
            [tf.Variable(tf.zeros_like(variable)) for variable in variables] for _ in range(3)
        )
        self._mu, self._steps = tf.Variable(0.0), tf.Variable(0.0)

    def begin(self, correction: Correction) -> None:
        """Take the correction of a training that begins."""
        self._mu.assign(correction.mu)
        self._steps.assign(0.0)
        for name, offset, anchor, total in zip(
            self._names, self._offsets, self._anchors, self._sums, strict=True
        ):
            offset.assign(correction.offset.get(name, tf.zeros_like(offset)))
            anchor.assign(correction.anchor[name])
            total.assign(tf.zeros_like(total))

    def bend(self, gradients: Sequence[Any]) -> list[Any]:
        """Gradients with the correction; part of a graph."""
        self._steps.assign_add(1.0)
        bent = []
        for gradient, variable, offset, anchor, total in zip(
            gradients, self._variables, self._offsets, self._anchors, self._sums, strict=True
        ):
            total.assign_add(gradient)
            bent.append(gradient + offset + self._mu * (variable - anchor))
        return bent

    def mean(self) -> dict[str, Array]:
        """The mean gradient of the training, by name; zeros before its first step."""
        steps = max(float(self._steps.numpy()), 1.0)
        return {
            name: np.asarray(total.numpy() / steps, np.float32)
            for name, total in zip(self._names, self._sums, strict=True)
        }
