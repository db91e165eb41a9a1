"""A small convolutional network for grey pictures.

The CNN of McMahan et al. 2017 (arXiv:1602.05629, section 3): two convolutions of 5 × 5 with 32
and 64 channels, each followed by max pooling of 2 × 2, a dense layer of 512 units with ReLU and
the softmax output: 1,663,370 parameters with pictures of 28 pixels and ten classes, which takes
padding to the same size. The convolutions have ReLU too, as in the tutorial the paper follows.
"""

from pathlib import Path

from shared.federated.task import Task
from shared.learning.architectures.initial import first_weights
from shared.learning.architectures.parts import Parts
from shared.learning.architectures.pixels import grey_pixels_and_scaled
from shared.learning.loading import keras

#: Channels of the two convolutions.
_CHANNELS = (32, 64)
_KERNEL = 5
_HIDDEN = 512


def build_mnist_cnn(task: Task, _backbone_directory: Path) -> Parts:
    """Build the network of a task: without a backbone.

    Equal seeds give equal first weights, everywhere.
    """
    pixels, values = grey_pixels_and_scaled(task.image_size)
    for number, channels in enumerate(_CHANNELS, start=1):
        name = f"conv{number}"
        convolution = keras.layers.Conv2D(
            channels,
            _KERNEL,
            padding="same",
            activation="relu",
            kernel_initializer=first_weights(task.seed, name),
            name=name,
        )
        values = keras.layers.MaxPooling2D(name=f"pool{number}")(convolution(values))
    values = keras.layers.Flatten(name="flatten")(values)
    for name, units, activation in (
        ("dense", _HIDDEN, "relu"),
        ("classes", len(task.classes), None),
    ):
        start = first_weights(task.seed, name)
        layer = keras.layers.Dense(
            units, activation=activation, kernel_initializer=start, name=name
        )
        values = layer(values)
    return Parts(None, keras.Model(pixels, values, name="mnist_cnn"))
