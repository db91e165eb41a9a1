"""SCAFFOLD: control variates take out of each step what is the device's own."""

from collections.abc import Sequence

from pydantic import Field

from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import Strategy
from shared.federated.aggregation.streams import mean, mean_change, moved

#: What the server keeps, a device keeps, and an update brings the change of.
CONTROL = "control"


class Scaffold(Strategy):
    """Corrects each step of a device by how its gradients differ from everybody's.

    A device steps along g - c_i + c, and brings how its c_i has changed, Δc_i (Karimireddy et al.
    2020, arXiv:1910.06378, algorithm 1, option II): shared/learning/local/control_variates.py. Then
    x ← x + η/|S|·Σ Δ_i and c ← c + 1/N·Σ Δc_i, with Δ_i = x_i - base_i, where S are those that
    sent, of N devices: c is the mean of all c_i, whoever takes part in a round. As in the paper,
    numbers of samples do not matter. For devices that train with SGD.
    """

    name = "scaffold"
    title = "SCAFFOLD"
    paper = "Karimireddy et al. 2020, arXiv:1910.06378"
    kind = "average"
    carries = (CONTROL,)
    sends = (CONTROL,)
    owes_rounding = True
    keeps = "its control variate: a number for each trained one"

    server_learning_rate: float = Field(
        default=1.0, gt=0, le=10, description="η: how far the mean change moves the global model."
    )

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        came = len(arrivals)
        # A late Δc_i counts in full: left out of c, it would be missing for good.
        changed = mean([arrival.update.carried[CONTROL] for arrival in arrivals], [1] * came)
        control = moved(state.slot(CONTROL), changed, came / num_devices)
        change = mean_change(arrivals, [arrival.update.weight for arrival in arrivals])
        weights = moved(state.weights, change, self.server_learning_rate)
        return ServerState(weights, slots={CONTROL: control})
