"""A perceptron for grey pictures: two hidden layers of 200 units with ReLU.

The "MNIST 2NN" of McMahan et al. 2017 (arXiv:1602.05629, section 3): 199,210 parameters with
pictures of 28 pixels and ten classes.
"""

from pathlib import Path

from shared.federated.task import Task
from shared.learning.architectures.initial import first_weights
from shared.learning.architectures.parts import Parts
from shared.learning.architectures.pixels import grey_pixels_and_scaled
from shared.learning.loading import keras

_UNITS = (200, 200)


def build_mnist_mlp(task: Task, _backbone_directory: Path) -> Parts:
    """Build the network of a task: without a backbone.

    Equal seeds give equal first weights, everywhere.
    """
    pixels, values = grey_pixels_and_scaled(task.image_size)
    values = keras.layers.Flatten(name="flatten")(values)
    for number, units in enumerate(_UNITS, start=1):
        name = f"dense{number}"
        start = first_weights(task.seed, name)
        hidden = keras.layers.Dense(units, activation="relu", kernel_initializer=start, name=name)
        values = hidden(values)
    start = first_weights(task.seed, "classes")
    classes = keras.layers.Dense(len(task.classes), kernel_initializer=start, name="classes")
    return Parts(None, keras.Model(pixels, classes(values), name="mnist_mlp"))
