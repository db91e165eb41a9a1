"""What holds for every strategy, whatever devices send."""

import random
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.federated.aggregation import Arrival, ServerState
from tests.federated.drawing import every_strategy, fillers, rounds, rules, some
from tests.federated.rounds import Drawn, content, least_updates, network, schemas


@every_strategy
@given(data=st.data(), shuffle=st.randoms(use_true_random=False))
@some
def test_the_order_of_updates_changes_no_bit(
    name: str, data: st.DataObject, shuffle: random.Random
) -> None:
    rule = data.draw(rules(name))
    first = data.draw(rounds(rule))
    second = data.draw(rounds(rule, first.next(rule)))
    shuffled = list(second.arrivals)
    shuffle.shuffle(shuffled)
    again = replace(second, arrivals=shuffled)
    assert content(again.next(rule)) == content(second.next(rule))


@every_strategy
@given(data=st.data())
@some
def test_bases_of_one_content_need_not_be_one_object(name: str, data: st.DataObject) -> None:
    rule = data.draw(rules(name))
    drawn = data.draw(rounds(rule))
    copies = [Arrival(each.update, dict(each.base)) for each in drawn.arrivals]
    assert content(replace(drawn, arrivals=copies).next(rule)) == content(drawn.next(rule))


@every_strategy
@given(data=st.data())
@some
def test_what_comes_in_is_left_as_it_is(name: str, data: st.DataObject) -> None:
    rule = data.draw(rules(name))
    first = data.draw(rounds(rule))
    second = data.draw(rounds(rule, first.next(rule)))

    def everything() -> list[dict[str, bytes]]:
        updates = [each.update for each in second.arrivals]
        return [
            content(second.state),
            *(content(ServerState(each.base)) for each in second.arrivals),
            *(content(ServerState(each.weights, slots=each.carried)) for each in updates),
        ]

    before = everything()
    second.next(rule)
    assert everything() == before


@every_strategy
@given(data=st.data())
@some
def test_identical_updates_of_many_devices_are_one(name: str, data: st.DataObject) -> None:
    """Of k devices, all that there are, as of one (or as few as the rule can do with)."""
    rule = data.draw(rules(name))
    least = least_updates(rule)
    arrival = data.draw(rounds(rule, largest=1e6)).arrivals[0]
    state = ServerState(arrival.base)

    def of(number: int) -> ServerState:
        came = [
            Arrival(replace(arrival.update, device=f"device{index:02}"), arrival.base)
            for index in range(number)
        ]
        return Drawn(state, came, number).next(rule)

    few, many = of(least), of(least + data.draw(st.integers(1, 6)))
    assert schemas(few) == schemas(many)
    for array in few.weights:
        went = np.abs(few.weights[array].astype(np.float64) - state.weights[array])
        scale = np.abs(state.weights[array]) + went
        apart = np.abs(many.weights[array].astype(np.float64) - few.weights[array])
        assert (apart <= 1e-6 * scale + 1e-33).all(), array
    for slot, held in few.slots.items():
        for array in held:
            np.testing.assert_allclose(many.slots[slot][array], held[array], 1e-6, 1e-40)


@every_strategy
@given(data=st.data())
@some
def test_who_changed_nothing_changes_nothing(name: str, data: st.DataObject) -> None:
    """As long as no momentum goes on."""
    rule = data.draw(rules(name))
    state = ServerState(network(data.draw(fillers())))
    came = [
        Arrival(
            replace(
                each.update,
                weights={array: state.weights[array] for array in each.update.weights},
            ),
            state.weights,
        )
        for each in data.draw(rounds(rule)).arrivals
    ]
    made = Drawn(state, came, len(came)).next(rule)
    for array, before in state.weights.items():
        np.testing.assert_array_equal(made.weights[array], before, err_msg=array)


@every_strategy
@given(data=st.data())
@some
def test_finite_numbers_stay_finite(name: str, data: st.DataObject) -> None:
    """Up to 1e30, whatever headers tell, wherever parameters are; round after round."""
    rule = data.draw(rules(name))
    state = None
    for _ in range(5):
        state = data.draw(rounds(rule, state)).next(rule)
        for held in (state.weights, *state.slots.values()):
            for array in held:
                assert np.isfinite(held[array]).all(), array
