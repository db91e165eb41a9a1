"""The coordinate-wise median."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shared.federated.aggregation.across import across_sorted
from shared.federated.aggregation.robust import Robust
from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import weights_of
from shared.federated.weights import Array


class Median(Robust):
    """Takes of each number the median of all updates: fewer than half of them cannot move it far.

    x_k ← median_i x_i,k; of an even number of updates the mean of the middle two (Yin et al. 2018,
    arXiv:1803.01498, algorithm 1, option I). Each update counts once: neither its number of
    pictures nor its staleness matters.
    """

    name = "median"
    title = "Median"
    paper = "Yin et al. 2018, arXiv:1803.01498"

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        ranks = (len(arrivals) - 1) // 2, len(arrivals) // 2 + 1
        return ServerState(across_sorted(weights_of(arrivals), ranks, _middle))


def _middle(ranks: Array) -> npt.NDArray[np.floating]:
    """The mean of the middle two, which may be one and the same."""
    middle: npt.NDArray[np.float64] = (ranks[0].astype(np.float64) + ranks[-1]) / 2
    return middle
