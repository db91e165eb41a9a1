"""First weights of layers that no backbone gives: equal seeds give equal ones, everywhere."""

import hashlib

from shared.learning.loading import keras


def first_weights(seed: int, layer: str) -> keras.Initializer:
    """Glorot's uniform initial weights (2010), another draw for each layer's name and each seed."""
    digest = hashlib.sha256(f"{seed} {layer}".encode()).digest()
    return keras.initializers.GlorotUniform(seed=int.from_bytes(digest[:4]) >> 1)
