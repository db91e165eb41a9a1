"""FedBuff: a buffer of updates makes a version; each tells what it changed."""

from collections.abc import Sequence

from shared.federated.aggregation.state import Arrival, ServerState, with_samples
from shared.federated.aggregation.streams import changed
from shared.federated.policies import AsynchronousSettings


def fedbuff(
    state: ServerState, arrivals: Sequence[Arrival], settings: AsynchronousSettings
) -> ServerState:
    """x ← x + η/K · Σ s(τ)·(x_i - base_i) (Nguyen et al. 2022, arXiv:2106.06639, algorithm 1).

    K is the number of arrivals, η the server's learning rate, s(τ) each update's weight, and
    base_i the version that it started from. Numbers of samples do not matter. Sums are float64,
    in order of device name and, of one device, of arrival: the order in which devices' updates
    arrived changes no bit.

    Args:
        arrivals: at least one.
        settings: its ``server_learning_rate`` is η.

    Returns:
        The next state, its weights computed as they are read.
    """
    rate = settings.server_learning_rate / len(arrivals)
    came = sorted(arrivals, key=lambda arrival: arrival.update.device)
    weights = changed(state.weights, came, [rate * each.update.weight for each in came])
    return ServerState(weights, with_samples(state, arrivals))
