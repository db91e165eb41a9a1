"""Every strategy beside a plain float64 one, which knows nothing of blocks and files.

How far apart the two may be is measured, not guessed: the reference is also computed from numbers
that are off by a little more than float32 rounds, in all directions. What such inputs make of it,
rounding may make of ours: a quotient whose divisor is nearly nothing, or a sign that turns.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.federated.aggregation import STRATEGIES, Arrival, ServerState, Strategy
from shared.federated.aggregation.blocks import BLOCK_NUMBERS
from shared.federated.weights import Weights
from tests.federated.drawing import rounds, rules, some
from tests.federated.references import REFERENCES, Arrays, Model, Sent, exact, next_model
from tests.federated.rounds import seeded

#: Robust rules choose and sort: they are held against numpy in tests of their own.
COMPARED = [name for name, strategy in STRATEGIES.items() if strategy.kind != "robust"]
compared = pytest.mark.parametrize("name", COMPARED)

#: Four times what float32 rounds.
_OFF = 2.0**-22
#: Of numbers below float32's smallest normal one little is left, and rates enlarge that.
_NOTHING = 1e-32
_MOST = float(np.finfo(np.float32).max)

#: What updates, and what slots, are off by: nothing, and then both ways of each.
_WAYS = [(0, 0), *product((1, -1), (1, -1))]


def test_every_strategy_but_robust_ones_has_a_reference() -> None:
    assert REFERENCES.keys() == {*COMPARED}


def off(sent: Sent, way: int) -> Sent:
    """An update whose numbers are off by what is rounded when changes are computed."""
    weights = {
        name: array + way * _OFF * (np.abs(array) + np.abs(sent.base[name]))
        for name, array in sent.weights.items()
    }
    carried = {slot: scaled(held, way) for slot, held in sent.carried.items()}
    return replace(sent, weights=weights, carried=carried)


def scaled(arrays: Arrays, way: int) -> Arrays:
    """Numbers that are off by a little."""
    return {name: array * (1 + way * _OFF) for name, array in arrays.items()}


class Reference:
    """A model in float64, beside others of the same rounds that are always off by a little."""

    def __init__(self, rule: Strategy, state: ServerState) -> None:
        self._rule = rule
        self._models = [Model.of(state)] * len(_WAYS)
        #: What weights were rounded by, at most, in all rounds.
        self._rounded = {name: np.zeros_like(array) for name, array in exact(state.weights).items()}

    def next(self, arrivals: Sequence[Arrival], devices: int) -> None:
        """The next round, of the same updates."""
        sent = [Sent.of(arrival) for arrival in arrivals]
        before = self._models[0].weights
        self._models = [
            next_model(
                self._rule,
                Model(model.weights, {s: scaled(held, slots) for s, held in model.slots.items()}),
                [off(each, updates) for each in sent],
                devices,
            )
            for model, (updates, slots) in zip(self._models, _WAYS, strict=True)
        ]
        after = self._models[0].weights
        self._rounded = {
            name: self._rounded[name] + _OFF * (np.abs(array) + np.abs(after[name] - array))
            for name, array in before.items()
        }

    def check(self, made: ServerState) -> None:
        """Assert that ours are the same but for rounding."""
        models = self._models
        close(made.weights, [each.weights for each in models], self._rounded)
        assert made.slots.keys() == models[0].slots.keys()
        for slot, held in models[0].slots.items():
            close(
                made.slots[slot],
                [each.slots[slot] for each in models],
                {name: 0.0 * array for name, array in held.items()},
            )


def close(ours: Weights, ways: Sequence[Arrays], rounded: Arrays) -> None:
    """Assert that numbers are within what rounding makes of the first of ``ways``."""
    assert ours.keys() == ways[0].keys()
    for name, expected in ways[0].items():
        apart = np.abs(ours[name] - np.clip(expected, -_MOST, _MOST))
        room = 4 * np.ptp([each[name] for each in ways], axis=0) + _OFF * np.abs(expected)
        assert (apart <= room + rounded[name] + _NOTHING).all(), name


@compared
@given(data=st.data())
@some
def test_a_round_is_what_the_paper_says(name: str, data: st.DataObject) -> None:
    """Of any numbers, with any parameters; the second with the slots of the first."""
    rule = data.draw(rules(name))
    state = None
    for _ in range(2):
        drawn = data.draw(rounds(rule, state))
        reference = Reference(rule, drawn.state)
        reference.next(drawn.arrivals, drawn.num_devices)
        state = drawn.next(rule)
        reference.check(state)


@compared
@pytest.mark.parametrize("seed", range(3))
def test_twelve_rounds_are_what_the_paper_says(name: str, seed: int) -> None:
    """As trainings make them, and some devices late. The reference keeps a state of its own."""
    rule = STRATEGIES[name]()
    drawn = seeded(rule, 100 * seed)
    reference, older = Reference(rule, drawn.state), drawn.state.weights
    for number in range(12):
        reference.next(drawn.arrivals, drawn.num_devices)
        made = drawn.next(rule)
        reference.check(made)
        drawn = seeded(rule, 100 * seed + number + 1, made, number=1 + number % 5, older=older)
        older = drawn.state.weights


@compared
def test_arrays_of_several_blocks_are_what_the_paper_says(name: str) -> None:
    shapes = {
        "conv/kernel": (2, BLOCK_NUMBERS + 1),
        "dense/kernel": (BLOCK_NUMBERS, 1),
        "bn/moving_variance": (BLOCK_NUMBERS - 1,),
        "scale/scale": (),
    }
    rule = STRATEGIES[name]()
    drawn = seeded(rule, 1, shapes=shapes)
    reference = Reference(rule, drawn.state)
    for seed in (2, 3):
        reference.next(drawn.arrivals, drawn.num_devices)
        made = drawn.next(rule)
        reference.check(made)
        drawn = seeded(rule, seed, made, shapes=shapes)
