"""The geometric median: the point from which all updates are nearest, taken together."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from shared.federated.aggregation.distances import Square, inner_products
from shared.federated.aggregation.robust import Robust
from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import weights_of
from shared.federated.aggregation.streams import mean

_Numbers = npt.NDArray[np.float64]

#: As soon as no share changes by a greater part of itself, further iterations change nothing. Of
#: itself: where an update is far away, a tiny share of it is a large part of the result.
_SETTLED = 1e-12


class GeometricMedian(Robust):
    """Takes the point with the smallest sum of distances to all updates: far ones hardly pull.

    x ← argmin_x Σ s_i·‖x - x_i‖, by Weiszfeld's iteration x ← Σ β_i·x_i / Σ β_i from the mean on,
    with β_i = s_i / max(ν, ‖x - x_i‖) (Pillutla et al. 2019, arXiv:1912.13445, algorithm 2). s_i is
    the weight for an update's staleness; its number of pictures does not matter.

    Every iterate is a weighted mean of the updates. So all distances follow from the inner products
    of the updates, and the updates themselves are read for these and for the last mean alone.
    """

    name = "geometric_median"
    title = "Geometric median"
    paper = "Pillutla et al. 2019, arXiv:1912.13445"

    iterations: int = Field(
        default=1000, ge=1, le=10_000, description="At most so many; fewer where it settles."
    )
    smoothing: float = Field(
        default=1e-6,
        ge=1e-12,
        le=1e6,
        allow_inf_nan=False,
        description="ν: an update that is nearer than this pulls no harder.",
    )

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        weights = weights_of(arrivals)
        counts = np.array([arrival.update.weight for arrival in arrivals])
        shares = self._shares(inner_products(weights, state.weights), counts)
        return ServerState(mean(weights, shares.tolist()))

    def _shares(self, products: Square, counts: _Numbers) -> _Numbers:
        """By how much each update counts in the geometric median; their sum is 1."""
        norms = np.diagonal(products)
        shares: _Numbers = counts / counts.sum()
        for _ in range(self.iterations):
            # ‖x - x_i‖² = ‖x_i‖² - 2⟨x, x_i⟩ + ‖x‖² of x = Σ share·x_i, all from the centre.
            along = products @ shares
            squares = np.maximum(norms - 2 * along + shares @ along, 0)
            before = shares
            shares = counts / np.maximum(np.sqrt(squares), self.smoothing)
            shares /= shares.sum()
            if (np.abs(shares - before) <= _SETTLED * before).all():
                break
        return shares
