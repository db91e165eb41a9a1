"""FedNova: devices that took more steps do not count more."""

from collections.abc import Sequence
from statistics import median

from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import Strategy, by_samples
from shared.federated.aggregation.streams import changed

_FAR = 100


class FedNova(Strategy):
    """Averages what one step changed on each device, so that many steps do not pull harder.

    x ← x + τ·Σ p_i·Δ_i/τ_i with Δ_i = x_i - base_i, p_i the share of the samples, τ_i the number of
    steps and τ = Σ p_i·τ_i (Wang et al. 2020, arXiv:2007.07481, equation 6). Exact for devices that
    train with plain SGD; with Adam the number of steps stands for how far they went. A τ_i counts
    as a hundred times the median at most, and a hundredth at least: one that is wrong would move
    the model as far as it likes.
    """

    name = "fednova"
    title = "FedNova"
    paper = "Wang et al. 2020, arXiv:2007.07481"
    kind = "average"
    needs = ("num_steps",)

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        told = [arrival.update.told["num_steps"] for arrival in arrivals]
        middle = median(told)
        steps = [min(max(each, middle / _FAR), middle * _FAR) for each in told]
        total = sum(by_samples(arrivals))
        shares = [samples / total for samples in by_samples(arrivals)]
        usual = sum(share * each for share, each in zip(shares, steps, strict=True))
        factors = [usual * share / each for share, each in zip(shares, steps, strict=True)]
        return ServerState(changed(state.weights, arrivals, factors))
