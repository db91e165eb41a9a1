"""The coordinate-wise trimmed mean."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from shared.federated.aggregation.across import across_sorted
from shared.federated.aggregation.robust import Robust
from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import weights_of
from shared.federated.aggregation.streams import mean
from shared.federated.weights import Array


class TrimmedMean(Robust):
    """Leaves out the smallest and the largest updates of each number, and averages the rest.

    x_k ← the mean of what remains of x_1,k … x_n,k without the ⌊β·n⌋ smallest and as many largest
    (Yin et al. 2018, arXiv:1803.01498, algorithm 1, option II). With up to that many bad updates it
    loses less than the median where updates are good. Each update counts once: neither its number
    of pictures nor its staleness matters.
    """

    name = "trimmed_mean"
    title = "Trimmed mean"
    paper = "Yin et al. 2018, arXiv:1803.01498"

    trim: float = Field(
        default=0.2,
        ge=0,
        lt=0.5,
        description="β: the share of updates that is left out at each end.",
    )

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        weights = weights_of(arrivals)
        # As it is written: 0.29 of 100 is 29, while the float nearest to 0.29 gives 28.999…
        left_out = int(Decimal(str(self.trim)) * len(weights))
        if not left_out:
            return ServerState(mean(weights, [1.0] * len(weights)))
        return ServerState(across_sorted(weights, (left_out, len(weights) - left_out), _mean))


def _mean(ranks: Array) -> npt.NDArray[np.floating]:
    total: npt.NDArray[np.float64] = ranks.sum(axis=0, dtype=np.float64)
    return total / len(ranks)
