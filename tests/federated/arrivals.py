"""Small states and updates, and what rules make of them."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from shared.federated.aggregation import Arrival, ServerState
from shared.federated.aggregation.fedavg import FedAvg
from shared.federated.update import MOST_SAMPLES, Update
from shared.federated.weights import Array, Weights

_LARGE = float(np.float32(1e30))
_SIZE = 5

#: Arrays of one shape, of any finite numbers that are not near the largest.
arrays = numpy_strategies.arrays(np.float32, _SIZE, elements=st.floats(-_LARGE, _LARGE, width=32))
samples = st.integers(1, MOST_SAMPLES)


def state(*numbers: float, **kept: int) -> ServerState:
    """The global model: one array."""
    return ServerState({"a": np.array(numbers, np.float32)}, kept)


def came(
    numbers: Array | list[float],
    num_samples: int = 1,
    *,
    device: str = "device1",
    base: Array | list[float] | None = None,
    weight: float = 1.0,
) -> Arrival:
    """An update of one array."""
    weights = {"a": np.asarray(numbers, np.float32)}
    start = weights if base is None else {"a": np.asarray(base, np.float32)}
    return Arrival(Update(device, num_samples, weights, weight), start)


def fedavg(updates: Sequence[Update]) -> Weights:
    """The average of updates that started from the same weights."""
    base = updates[0].weights
    arrivals = [Arrival(update, base) for update in updates]
    return FedAvg().next(ServerState(base), arrivals, len(updates)).weights
