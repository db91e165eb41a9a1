"""A small network that tells two classes apart, trained whole and from nothing.

Three times convolution and pooling, then flatten, dense, dropout and dense(1): the ten layers
with which F. Chollet told cats from dogs ("Building powerful image classification models using
very little data", 2016), trained with Adam and binary cross-entropy.

Our networks answer one logit a class and are trained with the cross entropy of their softmax.
A network with one output z answers the logits [0, z]: their softmax is [1 - sigmoid(z),
sigmoid(z)], and its cross entropy exactly the binary cross-entropy of sigmoid(z).
"""

from pathlib import Path
from typing import Any

from shared.federated.task import Task
from shared.learning.architectures.initial import first_weights
from shared.learning.architectures.parts import Parts
from shared.learning.architectures.pixels import pixels_and_scaled
from shared.learning.loading import keras

#: Channels of the three convolutions.
_CHANNELS = (32, 32, 64)
_HIDDEN = 64
_DROPPED = 0.5


def build_catdog_cnn(task: Task, _backbone_directory: Path) -> Parts:
    """Build the network of a task of two classes: without a backbone.

    Equal seeds give equal first weights, everywhere.
    """

    def convolved(values: Any, number: int, channels: int) -> Any:
        name = f"conv{number}"
        start = first_weights(task.seed, name)
        convolution = keras.layers.Conv2D(
            channels, 3, activation="relu", kernel_initializer=start, name=name
        )
        return keras.layers.MaxPooling2D(name=f"pool{number}")(convolution(values))

    def dense(values: Any, units: int, activation: str | None, name: str) -> Any:
        start = first_weights(task.seed, name)
        layer = keras.layers.Dense(
            units, activation=activation, kernel_initializer=start, name=name
        )
        return layer(values)

    pixels, values = pixels_and_scaled(task.image_size)
    for number, channels in enumerate(_CHANNELS, start=1):
        values = convolved(values, number, channels)
    values = keras.layers.Flatten(name="flatten")(values)
    values = dense(values, _HIDDEN, "relu", "dense")
    values = keras.layers.Dropout(_DROPPED, seed=task.seed, name="dropout")(values)
    second = dense(values, 1, None, "classes")
    logits = keras.ops.pad(second, [[0, 0], [1, 0]])
    return Parts(None, keras.Model(pixels, logits, name="catdog_cnn"))
