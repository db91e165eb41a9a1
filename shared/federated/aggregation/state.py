"""What a rule that goes on from version to version is given, and what it gives."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from shared.federated.names import is_trained
from shared.federated.update import Update
from shared.federated.weights import Schema, Weights, constant, part

#: In what a state keeps, how many samples were trained on so far.
NUM_SAMPLES = "num_samples"


@dataclass(frozen=True)
class ServerState:
    """The global model at one version, and all that the next one needs of it.

    Attributes:
        weights: of that version; computed as they are read where a rule has just made them.
        kept: what is kept besides weights: small, and ready for JSON. NUM_SAMPLES always.
        slots: what a strategy keeps of each trained array, by the name it gives it: a momentum,
            say. Empty before its first version.
    """

    weights: Weights
    kept: Mapping[str, Any] = field(default_factory=dict)
    slots: Mapping[str, Weights] = field(default_factory=dict)

    def slot(self, name: str, value: float = 0.0) -> Weights:
        """A slot, one number for each trained one; where there is none yet, all ``value``.

        Raises:
            SchemaMismatch: it is not of these arrays.
        """
        shapes = [shape for shape in Schema.of(self.weights).shapes if is_trained(shape[0])]
        schema = Schema(tuple(shapes))
        if name not in self.slots:
            return constant(schema, value)
        schema.check(Schema.of(self.slots[name]))
        return self.slots[name]

    def of(self, names: Collection[str]) -> Self:
        """The same with some arrays of the weights; slots are of the trained ones among them."""
        return replace(self, weights=part(self.weights, names))


@dataclass(frozen=True)
class Arrival:
    """An update, and what it started from.

    Attributes:
        update: its ``weight`` is the factor for its staleness.
        base: the weights of the version that its training started from. One object for all
            updates that started from the same version.
    """

    update: Update
    base: Weights


def with_samples(state: ServerState, arrivals: Sequence[Arrival]) -> dict[str, Any]:
    """What a state keeps, when it has counted the samples of some arrivals."""
    came = sum(arrival.update.num_samples for arrival in arrivals)
    return {**state.kept, NUM_SAMPLES: int(state.kept.get(NUM_SAMPLES, 0)) + came}
