"""FedAsync: each update moves the global model towards itself, the less the staler it is."""

from collections.abc import Sequence

from shared.federated.aggregation.state import Arrival, ServerState, with_samples
from shared.federated.aggregation.streams import mean
from shared.federated.policies import AsynchronousSettings


def fedasync(
    state: ServerState, arrivals: Sequence[Arrival], settings: AsynchronousSettings
) -> ServerState:
    """x ← (1 - m)·x + m·x_new with m = mixing · weight (Xie et al. 2019, arXiv:1903.03934).

    The paper's alpha is ``mixing``; the weight is (1 + staleness)^-a. Its number of samples
    does not matter.

    Args:
        arrivals: exactly one.
        settings: its ``mixing`` is how far a fresh update moves the model, above 0 to 1.

    Returns:
        The next state, its weights computed as they are read.
    """
    (arrival,) = arrivals
    moves = settings.mixing * arrival.update.weight
    weights = mean([state.weights, arrival.update.weights], [1.0 - moves, moves])
    return ServerState(weights, with_samples(state, arrivals))
