"""Multi-Krum: the mean of the updates that Krum finds best."""

from collections.abc import Sequence

from pydantic import Field

from shared.federated.aggregation.distances import squared_distances
from shared.federated.aggregation.krum import ranked
from shared.federated.aggregation.robust import Tolerant
from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import weights_of
from shared.federated.aggregation.streams import mean


class MultiKrum(Tolerant):
    """Averages the updates that have the most others near them, and leaves out the rest.

    x ← the mean of the m updates with the best scores of Krum, by default n - f (Blanchard et al.
    2017, NeurIPS). Each of them counts once: neither its number of pictures nor its staleness
    matters.
    """

    name = "multi_krum"
    title = "Multi-Krum"
    paper = "Blanchard et al. 2017, NeurIPS"
    updates_for_each = 2

    selected: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="m: how many updates are averaged, at most n - f. Left out: n - f.",
    )

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        weights, bad = weights_of(arrivals), self.tolerated(len(arrivals))
        good = len(weights) - bad
        count = good if self.selected is None else min(self.selected, good)
        best = ranked(squared_distances(weights, state.weights), bad)[:count]
        return ServerState(mean([weights[update] for update in sorted(best)], [1.0] * count))
