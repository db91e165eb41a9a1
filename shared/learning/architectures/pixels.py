"""How a picture's pixels become numbers for a network."""

from typing import Any

from shared.learning.loading import keras

#: Coloured pixels become a network's input as pixel / SCALE - SHIFT, as MobileNet's authors did.
#: Like everything that decides features, both are part of the name under which they are kept.
SCALE, SHIFT = 127.5, 1


def pixels_and_scaled(size: int) -> tuple[Any, Any]:
    """The input of a network that is trained whole, and the same from -1 to 1.

    Returns:
        uint8 (n, size, size, 3), and float32 of the same shape.
    """
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    return pixels, keras.layers.Rescaling(1 / SCALE, offset=-SHIFT, name="scaled")(pixels)


def grey_pixels_and_scaled(size: int) -> tuple[Any, Any]:
    """The input of a network that sees grey pictures, and the same from 0 to 1.

    Black stays 0, as in the papers on MNIST, most of whose pixels are black.

    Returns:
        uint8 (n, size, size, 1), and float32 of the same shape.
    """
    pixels = keras.Input((size, size, 1), dtype="uint8", name="pixels")
    return pixels, keras.layers.Rescaling(1 / 255, name="scaled")(pixels)
