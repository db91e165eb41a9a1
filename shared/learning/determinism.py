"""Equal seeds give equal results: the one switch that is global, thrown by whoever trains."""

from shared.learning.loading import keras, tf


def make_deterministic(seed: int) -> None:
    """Make this process repeatable: operations in a fixed order, every generator seeded.

    Call once, before the first network is built. Two processes on one machine that
    train with equal seeds then end with equal bits.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
