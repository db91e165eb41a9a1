"""The running average: the global model is the mean of all that was ever sent."""

from collections.abc import Sequence

from shared.federated.aggregation.blocks import Combined, weighted_mean
from shared.federated.aggregation.state import NUM_SAMPLES, Arrival, ServerState, with_samples
from shared.federated.policies import AsynchronousSettings


def running_average(
    state: ServerState, arrivals: Sequence[Arrival], _settings: AsynchronousSettings
) -> ServerState:
    """(a·server + b·update) / (a + b): a and b are numbers of samples trained so far.

    The rule of the MNIST reference system: averaging as updates arrive, where FedAvg (McMahan et
    al. 2017, arXiv:1602.05629) waits for a round. The server's ``a`` grows by each ``b``, so one
    update counts less and less. Staleness changes nothing.

    A model that nobody has trained yet has a = 0: the first update replaces it as a whole.

    Args:
        state: its ``kept`` has NUM_SAMPLES, the ``a``; without it, 0.
        arrivals: exactly one.

    Returns:
        The next state, its weights computed as they are read.
    """
    (arrival,) = arrivals
    before, came = int(state.kept.get(NUM_SAMPLES, 0)), arrival.update.num_samples
    server = [(float(before), state.weights)] if before else []
    mean = Combined([*server, (float(came), arrival.update.weights)], weighted_mean)
    return ServerState(mean, with_samples(state, arrivals))
