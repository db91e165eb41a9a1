"""FedDyn: devices and server bend their losses until they agree."""

from collections.abc import Sequence

from pydantic import Field

from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import Strategy, weights_of
from shared.federated.aggregation.streams import elementwise, mean, moved, summed_change

#: What the server keeps: the h of the paper.
_DRIFT = "drift"


class FedDyn(Strategy):
    """Bends each device's loss from round to round, until their minima are everybody's.

    A device adds -<h_i, w> + α/2·‖w - x‖² to its loss and keeps h_i ← h_i - α·Δ_i (Acar et al.
    2021, arXiv:2111.04263, algorithm 1): shared/learning/local/dynamic.py. Then h ← h - α/N·Σ Δ_i
    and x ← mean(x_i) - h/α, with Δ_i = x_i - base_i, of N devices: h is the mean of all h_i,
    whoever takes part in a round, while N stays the same. As in the paper, numbers of samples do
    not matter.
    """

    name = "feddyn"
    title = "FedDyn"
    paper = "Acar et al. 2021, arXiv:2111.04263"
    kind = "average"
    owes = False
    keeps = "how its loss is bent: a number for each trained one"

    #: With less, α·Δ is below what float32 has.
    alpha: float = Field(
        default=0.01, ge=1e-6, le=100, description="α: how strongly losses are bent."
    )

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        # A late change counts in full, as in the device's own h_i.
        came = summed_change(arrivals, [1 / num_devices] * len(arrivals))
        drift = moved(state.slot(_DRIFT), came, -self.alpha)
        shares = [arrival.update.weight for arrival in arrivals]
        weights = elementwise(
            lambda middle, drifted: middle - drifted / self.alpha,
            mean(weights_of(arrivals), shares),
            drift,
        )
        return ServerState(weights, slots={_DRIFT: drift})
