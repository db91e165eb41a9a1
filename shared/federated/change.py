"""How far an update moved the weights it started from, and whether that stands out."""

import math
import statistics
from collections.abc import Sequence

import numpy as np

from shared.federated.weights import Array, StreamedWeights

_BLOCK_NUMBERS = 64 * 1024

#: No training leads so far. Rules that add changes up stay within float32 with smaller ones.
MOST_NORM = 1e30

#: An update is compared with so many norms before it, of all devices.
COMPARED_NORMS = 50
#: With fewer nothing is said: a median of four is an accident.
LEAST_NORMS = 5
#: How many robust standard deviations above the median are far outside.
FAR = 6.0
#: The median absolute deviation of normally distributed numbers times this is their standard
#: deviation.
_TO_STANDARD_DEVIATION = 1.4826
#: Where norms hardly differ, this part of their median is taken for their spread.
_LEAST_SPREAD = 0.1


def change_norm(after: StreamedWeights, before: StreamedWeights) -> float:
    """The Euclidean norm of ``after`` minus ``before``, over all numbers of all arrays.

    Sums are float64; memory holds two blocks.

    Returns:
        Not a finite number exactly when one of them holds NaN or infinity.

    Raises:
        SchemaMismatch: they have not the same arrays.
    """
    before.schema.check(after.schema)
    place: Array = np.empty(_BLOCK_NUMBERS, np.float32)
    change = np.empty(_BLOCK_NUMBERS, np.float64)
    squares = 0.0
    # What is not finite is told by the result.
    with np.errstate(invalid="ignore"):
        for name, size in after.schema.sizes.items():
            for start in range(0, size, _BLOCK_NUMBERS):
                part = place[: size - start]
                moved = change[: part.size]
                after.read(name, start, part)
                np.copyto(moved, part)
                before.read(name, start, part)
                moved -= part
                squares += float(moved @ moved)
    return math.sqrt(squares)


def why_it_stands_out(norm: float, others: Sequence[float]) -> str | None:
    """Why a norm is far outside those before it, in a sentence; None: it is not.

    Far outside is more than FAR robust standard deviations above the median. Their spread is the
    median absolute deviation from the median, which a few wild updates hardly move (Leys et al.
    2013, doi:10.1016/j.jesp.2013.03.013); at least a tenth of the median, so that devices which
    are all alike do not make each other suspicious. Only large norms count: those of a model that
    converges become smaller.

    Args:
        others: norms of updates before it, the newest COMPARED_NORMS at most.
    """
    if len(others) < LEAST_NORMS:
        return None
    median = statistics.median(others)
    deviation = statistics.median(abs(each - median) for each in others)
    spread = max(_TO_STANDARD_DEVIATION * deviation, _LEAST_SPREAD * median)
    if not spread or norm <= median + FAR * spread:
        return None
    return (
        f"It changes the weights by a norm of {norm:.4g}; the median of the {len(others)} updates "
        f"before it is {median:.4g}, and more than {median + FAR * spread:.4g} is far outside."
    )
