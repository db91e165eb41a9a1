"""MobileNet V1 (Howard et al. 2017, arXiv:1704.04861), without its classifier.

Layers are addressed by name: positions differ between versions of Keras, names do not.
"""

import keras

#: The last layer of the frozen part when the last pointwise block is trained too.
BLOCK_CUT = "conv_dw_13_relu"
#: Average pooling, the last layer: one vector a picture.
POOLED = "pooled"


def mobilenet(alpha: float, image_size: int | None) -> keras.Model:
    """Build the network with random weights.

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
