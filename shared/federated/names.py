"""What tasks, devices, classes and arrays may be called."""

from typing import Annotated

from pydantic import StringConstraints

#: Names of tasks and devices: they become folder and file names, so nothing else is allowed.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]

#: Names of classes: they become folder names too, but people like capitals and spaces.
ClassName = Annotated[str, StringConstraints(pattern=r"^[^\s./\\][^/\\\x00-\x1f]{0,62}$")]

#: The arrays of a batch normalisation that no gradient moves, by Keras's names for them.
_STATISTICS = frozenset({"moving_mean", "moving_variance"})


def is_trained(array: str) -> bool:
    """Whether an array is trained; no: it is a statistic of what the network has seen.

    Statistics are averaged, and never pass through what belongs to gradients: momentum, adaptive
    rates, control variates. A variance that an optimiser has made negative gives NaN.

    Args:
        array: its name, a Keras variable path.
    """
    return array.rpartition("/")[2] not in _STATISTICS
