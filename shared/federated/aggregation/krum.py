"""Krum: the update that is nearest to its nearest ones."""

from collections.abc import Sequence

import numpy as np

from shared.federated.aggregation.distances import Square, squared_distances
from shared.federated.aggregation.robust import Tolerant
from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import weights_of


class Krum(Tolerant):
    """Takes the one update that has the most others near it; no other moves the model.

    x ← the x_i with the smallest Σ_j ‖x_i - x_j‖² over the n - f - 2 others that are nearest to it,
    at least one, among n updates with f bad ones (Blanchard et al. 2017, NeurIPS). Of two that are
    equally good the first device's. Each update counts once: neither its number of pictures nor its
    staleness matters.
    """

    name = "krum"
    title = "Krum"
    paper = "Blanchard et al. 2017, NeurIPS"
    updates_for_each = 2

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        weights, bad = weights_of(arrivals), self.tolerated(len(arrivals))
        distances = squared_distances(weights, state.weights)
        return ServerState(weights[ranked(distances, bad)[0]])


def nearest_ones(updates: int, bad: int) -> int:
    """Of so many updates, how many others the score of one counts."""
    return min(max(updates - bad - 2, 1), updates - 1)


def ranked(distances: Square, bad: int) -> list[int]:
    """The updates by Krum's score, the best first, of two that are equal the first.

    Args:
        distances: squared, of all pairs.
        bad: how many of them to stand.
    """
    others = distances.copy()
    np.fill_diagonal(others, np.inf)  # sorted behind all others
    others.sort(axis=1)
    scores = others[:, : nearest_ones(len(others), bad)].sum(axis=1)
    return [int(update) for update in np.argsort(scores, kind="stable")]
