"""Small states and updates, and what rules make of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from shared.federated.aggregation import Arrival, ServerState, Strategy
from shared.federated.aggregation.fedavg import FedAvg
from shared.federated.update import MOST_SAMPLES, Update, UpdateFact
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
    told: Mapping[UpdateFact, float] | None = None,
    **carried: list[float],
) -> Arrival:
    """An update of one array, and of one in each slot that it carries."""
    weights = {"a": np.asarray(numbers, np.float32)}
    start = weights if base is None else {"a": np.asarray(base, np.float32)}
    slots = {slot: {"a": np.array(held, np.float32)} for slot, held in carried.items()}
    return Arrival(Update(device, num_samples, weights, weight, told or {}, slots), start)


def numbers(made: ServerState, slot: str | None = None) -> list[float]:
    """Those of a state of one array, or of one of its slots."""
    told: list[float] = (made.weights if slot is None else made.slots[slot])["a"].tolist()
    return told


def fedavg(updates: Sequence[Update]) -> Weights:
    """The average of updates that started from the same weights."""
    base = updates[0].weights
    arrivals = [Arrival(update, base) for update in updates]
    return FedAvg().next(ServerState(base), arrivals, len(updates)).weights


#: A global model, as numbers.
X = [1.0, -2.0]


def pair(*, told: tuple[dict, dict] = ({}, {})) -> list[Arrival]:
    """Two devices, of 1 and of 3 samples, that moved the global model X by (2, 0), (-2, 4)."""
    return [
        came([3.0, -2.0], 1, base=X, told=told[0]),
        came([-1.0, 2.0], 3, base=X, device="device2", told=told[1]),
    ]


def is_fedavg(strategy: Strategy, arrivals: list[Arrival]) -> bool:
    """Whether a strategy makes what FedAvg makes of updates that started from X."""
    ours = strategy.next(state(*X), arrivals, len(arrivals))
    theirs = FedAvg().next(state(*X), arrivals, len(arrivals))
    return bool(np.allclose(numbers(ours), numbers(theirs), rtol=1e-6, atol=0))
