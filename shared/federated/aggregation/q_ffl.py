"""q-FFL: devices that the model serves badly count more."""

from collections.abc import Sequence

from pydantic import Field

from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import Strategy, by_samples
from shared.federated.aggregation.streams import changed
from shared.federated.change import change_norm
from shared.federated.weights import streamed

#: A loss of 0 to a power below 0 would be infinite.
_LEAST_LOSS = 1e-10


class QFFL(Strategy):
    """Gives devices that the model serves badly more say, so that it serves all alike.

    x ← x + Σ n_i·F_i^q·L_i·Δ_i / Σ n_i·(q·F_i^(q-1)·‖L_i·Δ_i‖² + L_i·F_i^q), where
    Δ_i = x_i - base_i, F_i is the loss before training and L_i one over the device's learning rate
    (Li et al. 2020, arXiv:1905.10497, algorithm 2, q-FedAvg). With q = 0, and one learning rate for
    all devices, it is FedAvg. For devices that train with SGD: one over the learning rate says
    nothing of Adam, and the model hardly moves then.
    """

    name = "q_ffl"
    title = "q-FFL"
    paper = "Li et al. 2020, arXiv:1905.10497"
    kind = "average"
    needs = ("base_loss", "learning_rate")

    q: float = Field(
        default=1.0, ge=0, le=10, description="How much a high loss counts; 0: not at all."
    )

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        factors, total = [], 0.0
        for arrival, samples in zip(arrivals, by_samples(arrivals), strict=True):
            loss = max(arrival.update.told["base_loss"], _LEAST_LOSS)
            steepness = 1 / arrival.update.told["learning_rate"]
            norm = change_norm(streamed(arrival.update.weights), streamed(arrival.base))
            factors.append(samples * loss**self.q * steepness)
            bend = self.q * loss ** (self.q - 1) * (steepness * norm) ** 2
            total += samples * (bend + steepness * loss**self.q)
        return ServerState(changed(state.weights, arrivals, [factor / total for factor in factors]))
