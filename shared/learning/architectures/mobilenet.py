"""MobileNet V1 (Howard et al. 2017, arXiv:1704.04861).

Layers are addressed by name: positions differ between versions of Keras, names do not.
"""

from pathlib import Path
from typing import cast

from shared.federated.task import Task
from shared.learning.architectures.parts import Parts
from shared.learning.architectures.pixels import pixels_and_scaled
from shared.learning.backbone import load_backbone
from shared.learning.loading import keras

#: The last layer of the frozen part when the last pointwise block is trained too.
BLOCK_CUT = "conv_dw_13_relu"
#: Average pooling, the last layer: one vector a picture.
POOLED = "pooled"
#: A device takes few steps in a round. With Keras's 0.99 the statistics of a trained batch
#: norm lag behind its weights: on the digits, depth `all`, two epochs gave 0.71 instead of 0.99.
_TRAINED_BATCH_NORM_MOMENTUM = 0.9


def build_mobilenet(task: Task, backbone_directory: Path) -> Parts:
    """Build a task's MobileNet and its classifier, and cut it where the task says.

    Raises:
        BackboneMissing: the backbone's file is not on this device; says where to put it.
        BackboneUnfit: the backbone's file is damaged or of another network.
    """
    whole = mobilenet(cast("float", task.alpha), task.image_size)
    load_backbone(task, backbone_directory, whole)
    for layer in whole.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _TRAINED_BATCH_NORM_MOMENTUM
    classes = keras.layers.Dense(
        len(task.classes),
        kernel_initializer=keras.initializers.GlorotUniform(seed=task.seed),
        name="classes",
    )
    if task.trainable == "all":
        pixels, scaled = pixels_and_scaled(task.image_size)
        return Parts(None, keras.Model(pixels, classes(whole(scaled))))
    cut = whole.get_layer(POOLED if task.trainable == "head" else BLOCK_CUT).output
    return Parts(keras.Model(whole.input, cut), keras.Model(cut, classes(whole.output)))


def mobilenet(alpha: float, image_size: int | None) -> keras.Model:
    """Build the network without its classifier, with random weights.

    Args:
        alpha: width, as a fraction of the full network.
        image_size: side of the square pictures in pixels; None for any size.

    Returns:
        A model from pictures (n, image_size, image_size, 3), float32 in [-1, 1], to
        vectors (n, 1024 * alpha). Layers and variables have the same names, and the
        same shapes, as keras.applications gives them, in every process.
    """
    convolutions = keras.applications.MobileNet(
        input_shape=(image_size, image_size, 3), alpha=alpha, include_top=False, weights=None
    )
    pooled = keras.layers.GlobalAveragePooling2D(name=POOLED)(convolutions.output)
    return keras.Model(convolutions.input, pooled, name="mobilenet")
