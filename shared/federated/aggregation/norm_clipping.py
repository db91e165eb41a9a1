"""Norm clipping: no update changes more than a bound, or than the others do."""

import statistics
from collections.abc import Sequence

from pydantic import Field

from shared.federated.aggregation.robust import Robust
from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import weights_of
from shared.federated.aggregation.streams import mean
from shared.federated.change import change_norm
from shared.federated.side_by_side import side_by_side
from shared.federated.weights import Weights, streamed


class NormClipping(Robust):
    """Scales each update's change down to a bound, then averages: none pulls hard alone.

    x ← Σ s_i·(base_i + c_i·Δ_i) / Σ s_i with Δ_i = x_i - base_i and c_i = min(1, bound/‖Δ_i‖) (Sun
    et al. 2019, arXiv:1911.07963, without its noise). s_i is the weight for an update's staleness;
    its number of pictures does not matter. Bad updates still pull, but each by no more than the
    bound: the other robust rules stand more.
    """

    name = "norm_clipping"
    title = "Norm clipping"
    paper = "Sun et al. 2019, arXiv:1911.07963"

    bound: float | None = Field(
        default=None,
        gt=0,
        le=1e30,
        description="The largest norm of a change. Left out: the median of the norms.",
    )

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        pairs = [(streamed(each.update.weights), streamed(each.base)) for each in arrivals]
        norms = list(side_by_side(change_norm, pairs))
        bound = statistics.median(norms) if self.bound is None else self.bound
        kept = [bound / norm if norm > bound else 1.0 for norm in norms]
        return ServerState(_clipped_mean(arrivals, kept))


def _clipped_mean(arrivals: Sequence[Arrival], kept: Sequence[float]) -> Weights:
    """The mean of each base moved by the part of its update's change that is kept.

    That is the mean of updates and bases, where no base counts whose updates are kept whole.
    """
    shares = [
        part_kept * each.update.weight for part_kept, each in zip(kept, arrivals, strict=True)
    ]
    bases: dict[int, tuple[Weights, float]] = {}
    for part_kept, each in zip(kept, arrivals, strict=True):
        if part_kept < 1:
            _, before = bases.get(id(each.base), (each.base, 0.0))
            bases[id(each.base)] = each.base, before + (1 - part_kept) * each.update.weight
    return mean(
        [*weights_of(arrivals), *(base for base, _ in bases.values())],
        [*shares, *(share for _, share in bases.values())],
    )
