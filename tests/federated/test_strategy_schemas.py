"""Which arrays each strategy takes, combines, keeps beside and leaves alone."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.federated.aggregation import NUM_SAMPLES, STRATEGIES, Arrival
from shared.federated.names import is_trained
from shared.federated.weights import Schema, SchemaMismatch, Weights
from tests.federated.drawing import every_strategy, rounds, rules, some
from tests.federated.rounds import SHAPES, STATISTICS, Drawn, in_memory, schemas, seeded


@every_strategy
@given(data=st.data())
@some
def test_arrays_stay_as_they_are_called_and_shaped(name: str, data: st.DataObject) -> None:
    """Of the weights; and each slot has the trained ones among those that are combined."""
    rule = data.draw(rules(name))
    state, count = data.draw(rounds(rule)).state, 0
    trained = [
        shape
        for shape in Schema.of(state.weights).shapes
        if is_trained(shape[0]) and not rule.stays(shape[0])
    ]
    names = None
    for _ in range(3):
        drawn = data.draw(rounds(rule, state))
        made = drawn.next(rule)
        weights, slots = schemas(made)
        assert weights == Schema.of(state.weights)
        assert all(schema == Schema(tuple(trained)) for schema in slots.values())
        assert names in (None, slots.keys())  # the same from the first round on
        assert {*rule.sends} <= slots.keys()
        count += sum(arrival.update.num_samples for arrival in drawn.arrivals)
        assert made.kept == {NUM_SAMPLES: count}
        state, names = made, slots.keys()


@every_strategy
@given(data=st.data())
@some
def test_statistics_are_among_those_that_came(name: str, data: st.DataObject) -> None:
    """They pass through no momentum and no rate: so a variance never becomes negative."""
    rule = data.draw(rules(name))
    state = None
    for _ in range(3):
        drawn = data.draw(rounds(rule, state))
        state = drawn.next(rule)
        assert not any(STATISTICS & held.keys() for held in state.slots.values())
        assert (state.weights["bn/moving_variance"] >= 0).all()
        for array in STATISTICS:
            if rule.stays(array):
                continue
            came = np.stack(
                [
                    held[array]
                    for each in drawn.arrivals
                    for held in (each.update.weights, each.base)
                ]
            )
            assert (np.min(came, axis=0) <= state.weights[array]).all()
            assert (state.weights[array] <= np.max(came, axis=0)).all()


@every_strategy
@given(data=st.data())
@some
def test_what_stays_on_devices_is_never_touched(name: str, data: st.DataObject) -> None:
    """Of most strategies nothing stays; of personal ones something."""
    rule = data.draw(rules(name))
    stays = {array for array in SHAPES if rule.stays(array)}
    assert bool(stays) == (rule.kind == "personal")
    first = data.draw(rounds(rule))
    state = first.next(rule)
    for _ in range(2):
        state = data.draw(rounds(rule, state)).next(rule)
    for array in stays:
        assert state.weights[array].tobytes() == first.state.weights[array].tobytes()


def _without(held: Weights, array: str) -> Weights:
    return {name: held[name] for name in held if name != array}


def _of_another_shape(held: Weights, array: str) -> Weights:
    return {**held, array: np.zeros((*held[array].shape, 2), np.float32)}


def _with_another(held: Weights, _array: str) -> Weights:
    return {**held, "else/kernel": np.zeros(2, np.float32)}


def _of_another_type(held: Weights, array: str) -> Weights:
    return {**held, array: held[array].astype(np.float64)}


@every_strategy
@pytest.mark.parametrize("spoilt", [_without, _of_another_shape, _with_another, _of_another_type])
def test_another_schema_is_refused(name: str, spoilt: Callable[[Weights, str], Weights]) -> None:
    """Of an update, of what it carries, of its base, and of a slot."""
    rule = STRATEGIES[name]()
    first = seeded(rule, 1)
    drawn = seeded(rule, 2, first.next(rule))
    for wrong in _spoilt(drawn, lambda held: spoilt(held, "conv/kernel")):
        with pytest.raises(SchemaMismatch):
            in_memory(rule.next(wrong.state, wrong.arrivals, wrong.num_devices))


def _spoilt(drawn: Drawn, spoil: Callable[[Weights], Weights]) -> Iterator[Drawn]:
    """The round with one thing wrong at a time."""
    *others, last = drawn.arrivals
    yield replace(drawn, arrivals=[*others, replace(last, base=spoil(last.base))])
    update = last.update
    updates = [replace(update, weights=spoil(update.weights))]
    updates += [
        replace(update, carried={**update.carried, slot: spoil(update.carried[slot])})
        for slot in update.carried
    ]
    for each in updates:
        yield replace(drawn, arrivals=[*others, Arrival(each, last.base)])
    for slot, held in drawn.state.slots.items():
        slots = {**drawn.state.slots, slot: spoil(held)}
        yield replace(drawn, state=replace(drawn.state, slots=slots))


@pytest.mark.parametrize("name", [name for name in STRATEGIES if STRATEGIES[name].carries])
def test_an_update_without_what_it_has_to_carry_is_refused(name: str) -> None:
    rule = STRATEGIES[name]()
    drawn = seeded(rule, 1)
    *others, last = drawn.arrivals
    bare = Arrival(replace(last.update, carried={}), last.base)
    with pytest.raises(SchemaMismatch, match=f"{rule.carries[0]}:.* is missing"):
        rule.next(drawn.state, [*others, bare], drawn.num_devices)
