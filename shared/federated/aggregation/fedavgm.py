"""FedAvgM: FedAvg with momentum on the server."""

from collections.abc import Sequence

from pydantic import Field

from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import Strategy, by_samples
from shared.federated.aggregation.streams import elementwise, mean_change, moved

_MOMENTUM = "momentum"


class FedAvgM(Strategy):
    """FedAvg with momentum on the server: what rounds agree on adds up.

    v ← β·v + Δ and x ← x + η·v, where Δ is the mean change (Hsu et al. 2019, arXiv:1909.06335;
    Reddi et al. 2021, arXiv:2003.00295, section 5). With β = 0 and η = 1 it is FedAvg.
    """

    name = "fedavgm"
    title = "FedAvgM"
    paper = "Reddi et al. 2021, arXiv:2003.00295"
    kind = "server optimiser"
    counts_unchanged = True

    server_learning_rate: float = Field(
        default=1.0, gt=0, le=10, description="η: how far the momentum moves the global model."
    )
    momentum: float = Field(
        default=0.9, ge=0, lt=1, description="β: how much of it remains from round to round."
    )

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        momentum = elementwise(
            lambda before, change: self.momentum * before + change,
            state.slot(_MOMENTUM),
            mean_change(arrivals, by_samples(arrivals)),
        )
        weights = moved(state.weights, momentum, self.server_learning_rate)
        return ServerState(weights, slots={_MOMENTUM: momentum})
