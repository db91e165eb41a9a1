"""Bulyan: what Krum selects, and of each number those nearest to the median."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shared.federated.aggregation.across import across_sorted
from shared.federated.aggregation.distances import Square, squared_distances
from shared.federated.aggregation.krum import nearest_ones
from shared.federated.aggregation.robust import Tolerant
from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import weights_of
from shared.federated.weights import Array


class Bulyan(Tolerant):
    """Selects updates as Krum does, and averages of each number those nearest to their median.

    Krum selects θ = n - 2f updates, one after the other, each among those that are left; then x_k
    is the mean of the θ - 2f numbers x_i,k nearest to the median of the selected ones, of two that
    are equally near the smaller (El Mhamdi et al. 2018, arXiv:1802.07927). An update that is near
    to all others but far off in one number does no harm, as it would to Krum. Each update counts
    once: neither its number of pictures nor its staleness matters.
    """

    name = "bulyan"
    title = "Bulyan"
    paper = "El Mhamdi et al. 2018, arXiv:1802.07927"
    updates_for_each = 4

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        weights, bad = weights_of(arrivals), self.tolerated(len(arrivals))
        chosen = _selected(squared_distances(weights, state.weights), bad)
        averaged = len(chosen) - 2 * bad
        # No number of another rank can be among those nearest to the median.
        lowest = max((len(chosen) - 1) // 2 - averaged + 1, 0)
        highest = min(len(chosen) // 2 + averaged, len(chosen))
        return ServerState(
            across_sorted(
                [weights[each] for each in chosen],
                (lowest, highest),
                lambda ranks: _near_median(ranks, averaged),
            )
        )


def _selected(distances: Square, bad: int) -> list[int]:
    """All but twice the bad ones, by Krum among those that are left; in order of device.

    Of each that is left the distances to the others are sorted once: who is chosen is struck out.
    """
    left, chosen = [*range(len(distances))], list[int]()
    others = np.argsort(distances + np.diag([np.inf] * len(left)), axis=1, kind="stable")[:, :-1]
    for _ in range(len(left) - 2 * bad):
        nearest = others[:, : nearest_ones(len(left), bad)]
        scores = np.take_along_axis(distances[left], nearest, axis=1).sum(axis=1)
        best = int(np.argmin(scores))
        chosen.append(left.pop(best))
        others = np.delete(others, best, axis=0)
        others = others[others != chosen[-1]].reshape(len(left), max(len(left) - 1, 0))
    return sorted(chosen)


def _near_median(ranks: Array, averaged: int) -> npt.NDArray[np.floating]:
    """The mean of so many numbers of each column that are nearest to its median.

    Sorted, they lie one after the other. So of a number and the one so many ranks above it exactly
    one is among them: the upper one where it is nearer, a + b < 2·median.

    Args:
        ranks: as many below the median as above it.
        averaged: at least half of them.
    """
    rows = len(ranks)
    spare = rows - averaged
    twice_median = ranks[(rows - 1) // 2] + ranks[rows // 2]
    lower, upper = ranks[:spare], ranks[averaged:]
    nearer = np.where(lower + upper < twice_median, upper, lower)
    total: npt.NDArray[np.float64] = ranks[spare:averaged].sum(axis=0, dtype=np.float64)
    total += nearer.sum(axis=0, dtype=np.float64)
    return total / averaged
