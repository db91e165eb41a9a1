"""What every architecture gives: the frozen front part of a network, and the rest."""

from typing import NamedTuple

from shared.learning.loading import keras


class Parts(NamedTuple):
    """A network in two parts.

    Attributes:
        backbone: from pictures float32 (n, size, size, 3) in [-1, 1] to features; None where
            everything is trained.
        tail: from features, or pixels uint8 (n, size, size, channels), to logits (n, classes).
    """

    backbone: keras.Model | None
    tail: keras.Model
