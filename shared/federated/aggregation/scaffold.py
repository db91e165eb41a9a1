"""SCAFFOLD: control variates take out of each step what is the device's own."""

from collections.abc import Sequence

from pydantic import Field

from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import Strategy, by_samples
from shared.federated.aggregation.streams import mean, mean_change, moved

#: What the server keeps, a device keeps, and an update brings the change of.
CONTROL = "control"


class Scaffold(Strategy):
    """Corrects each step of a device by how its gradients differ from everybody's.

    A device steps along g - c_i + c, and brings how its c_i has changed, Δc_i (Karimireddy et al.
    2020, arXiv:1910.06378, algorithm 1, option II): shared/learning/local/control_variates.py. Then
    x ← x + η·Σ p_i·Δ_i and c ← c + 1/N·Σ Δc_i, with N devices. p_i is the share of the samples; the
    paper's devices are of one size. c is the mean of all c_i, whoever takes part in a round, while
    N stays the same. For devices that train with SGD.
    """

    name = "scaffold"
    title = "SCAFFOLD"
    paper = "Karimireddy et al. 2020, arXiv:1910.06378"
    kind = "average"
    carries = (CONTROL,)
    sends = (CONTROL,)
    keeps = "its control variate: a number for each trained one"

    server_learning_rate: float = Field(
        default=1.0, gt=0, le=10, description="η: how far the mean change moves the global model."
    )

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        # Each Δc_i counts alike, also a late one, and whoever else has sent: what is left out of c,
        # or is too much, stays there for good.
        came = [arrival.update.carried[CONTROL] for arrival in arrivals]
        changed = mean(came, [1] * len(came))
        control = moved(state.slot(CONTROL), changed, len(came) / num_devices)
        change = mean_change(arrivals, by_samples(arrivals))
        weights = moved(state.weights, change, self.server_learning_rate)
        return ServerState(weights, slots={CONTROL: control})
