"""What a rule that goes on from version to version is given, and what it gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.federated.update import Update
from shared.federated.weights import Weights

#: In what a state keeps, how many samples were trained on so far.
NUM_SAMPLES = "num_samples"


@dataclass(frozen=True)
class ServerState:
    """The global model at one version, and all that the next one needs of it.

    Attributes:
        weights: of that version; computed as they are read where a rule has just made them.
        kept: what is kept besides weights: small, and ready for JSON. NUM_SAMPLES always.
    """

    weights: Weights
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Arrival:
    """An update, and what it started from.

    Attributes:
        update: its ``weight`` is the factor for its staleness.
        base: the weights of the version that its training started from.
    """

    update: Update
    base: Weights


def with_samples(state: ServerState, arrivals: Sequence[Arrival]) -> dict[str, Any]:
    """What a state keeps, when it has counted the samples of some arrivals."""
    came = sum(arrival.update.num_samples for arrival in arrivals)
    return {**state.kept, NUM_SAMPLES: int(state.kept.get(NUM_SAMPLES, 0)) + came}
