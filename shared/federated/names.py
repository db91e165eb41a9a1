"""What tasks, devices, classes and arrays may be called."""

from typing import Annotated

from pydantic import StringConstraints

from shared.errors import FedbellError

#: Names of tasks and devices: they become folder and file names, so nothing else is allowed.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]

#: Names of classes: they become folder names too, but people like capitals and spaces.
ClassName = Annotated[str, StringConstraints(pattern=r"^[^\s./\\][^/\\\x00-\x1f]{0,62}$")]

#: In one file with weights, what belongs to an array is named ARRAY@WHAT, and what a strategy has
#: beside it SLOT:ARRAY. Keras has no such signs in its paths.
MARK, SLOT = "@", ":"


class BadArrayName(FedbellError):
    """An array has a name that cannot be."""

    status = 422
    title = "An array cannot be called so"


def check_array(name: str) -> None:
    """Raise BadArrayName where a weight's name has a sign that is for what goes with it."""
    if MARK in name or SLOT in name:
        raise BadArrayName(f"{name}: {MARK} and {SLOT} are in no name of an array.")


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
