"""Federated averaging."""

from collections.abc import Sequence
from typing import ClassVar

from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import Kind, Strategy, by_samples, weights_of
from shared.federated.aggregation.streams import mean


class FedAvg(Strategy):
    """The mean of all updates, each counting by its number of pictures.

    x ← Σ n_i·x_i / Σ n_i (McMahan et al. 2017, arXiv:1602.05629). An update that came late counts
    less. Equal updates give exactly themselves.
    """

    name = "fedavg"
    title = "FedAvg"
    paper = "McMahan et al. 2017, arXiv:1602.05629"
    kind: ClassVar[Kind] = "average"
    combines_statistics = True
    counts_unchanged = True

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        return ServerState(mean(weights_of(arrivals), by_samples(arrivals)))
