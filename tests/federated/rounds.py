"""A small network with batch normalisation, and rounds of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from hypothesis import reject

from shared.errors import FedbellError
from shared.federated.aggregation import Arrival, ServerState, Strategy
from shared.federated.names import is_trained
from shared.federated.update import Update, UpdateFact
from shared.federated.weights import Array, Schema, Weights

#: With arrays that FedBN and FedPer leave on devices, statistics, a scalar and an empty array.
SHAPES: Mapping[str, tuple[int, ...]] = {
    "conv/kernel": (2, 1, 3),
    "bn/gamma": (3,),
    "bn/beta": (3,),
    "bn/moving_mean": (3,),
    "bn/moving_variance": (3,),
    "scale/scale": (),
    "scale/nothing": (0, 4),
    "classes/kernel": (3, 2),
    "classes/bias": (2,),
}
STATISTICS = {"bn/moving_mean", "bn/moving_variance"}

#: Fills an array of some shape.
Filler = Callable[[tuple[int, ...]], Array]

#: How many devices a rule may need before it is not looked for any more.
_MOST_NEEDED = 16


@dataclass(frozen=True)
class Drawn:
    """A round: what a rule's next state is made of."""

    state: ServerState
    arrivals: Sequence[Arrival]
    num_devices: int

    def next(self, rule: Strategy) -> ServerState:
        """The next state, in memory."""
        return in_memory(rule.next(self.state, self.arrivals, self.num_devices))


def in_memory(state: ServerState) -> ServerState:
    """The same state, its numbers computed."""
    slots = {slot: dict(held) for slot, held in state.slots.items()}
    return ServerState(dict(state.weights), state.kept, slots)


def network(fill: Filler, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> dict[str, Array]:
    """Arrays of the network; a variance is not negative."""
    weights = {name: fill(shape) for name, shape in shapes.items()}
    return {
        name: np.abs(array) if name.endswith("variance") else array
        for name, array in weights.items()
    }


def update_of(rule: Strategy, weights: Weights, fill: Filler) -> dict[str, Any]:
    """What an update of a rule's has of a network, and what it carries besides."""
    shared = {name: weights[name] for name in weights if not rule.stays(name)}
    shapes = {name: array.shape for name, array in shared.items() if is_trained(name)}
    return {
        "weights": shared,
        "carried": {slot: network(fill, shapes) for slot in rule.carries},
    }


def least_updates(rule: Strategy) -> int:
    """How many updates a rule can do with; one, but for those that look for outliers.

    Examples with parameters that ask for more than sixteen are not looked at.
    """
    number = _least_updates(rule)
    return reject() if number is None else number


@lru_cache
def _least_updates(rule: Strategy) -> int | None:
    for number in range(1, _MOST_NEEDED + 1):
        try:
            seeded(rule, 1, number=number).next(rule)
        except FedbellError as error:
            if type(error).__name__ != "TooFewUpdates":
                raise
        else:
            return number
    return None


def seeded(
    rule: Strategy,
    seed: int,
    state: ServerState | None = None,
    *,
    number: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] = SHAPES,
    older: Weights | None = None,
) -> Drawn:
    """A round as trainings make it: what devices changed is small, and normally distributed.

    Args:
        number: of updates; None: four more than the rule needs.
        older: what every third update started from, where it is not the newest version.
    """
    generator = np.random.default_rng(seed)

    def fill(shape: tuple[int, ...]) -> Array:
        return generator.standard_normal(shape, np.float32)

    now = ServerState(network(fill, shapes)) if state is None else state
    came = []
    for index in range(least_updates(rule) + 4 if number is None else number):
        base = now.weights if older is None or index % 3 else older
        changes = network(fill, shapes)
        after = {name: base[name] + np.float32(0.1) * changes[name] for name in base}
        facts: dict[UpdateFact, float] = {
            "num_steps": int(generator.integers(1, 100)),
            "learning_rate": 0.01,
            "base_loss": float(generator.uniform(0.1, 3.0)),
        }
        update = Update(
            f"device{index:02}",
            int(generator.integers(1, 1000)),
            weight=1.0 if base is now.weights else 0.5,
            told={fact: facts[fact] for fact in rule.needs},
            **update_of(rule, after, fill),
        )
        came.append(Arrival(update, base))
    return Drawn(now, came, len(came) + seed % 3)


def content(state: ServerState) -> dict[str, bytes]:
    """The bits of a state: weights, and each slot's arrays as SLOT:ARRAY."""
    made = {name: state.weights[name].tobytes() for name in state.weights}
    return made | {
        f"{slot}:{name}": held[name].tobytes()
        for slot, held in state.slots.items()
        for name in held
    }


def schemas(state: ServerState) -> tuple[Schema, dict[str, Schema]]:
    """Of the weights, and of each slot."""
    return Schema.of(state.weights), {slot: Schema.of(state.slots[slot]) for slot in state.slots}
