"""The rules of asynchronous tasks, against numbers worked out by hand."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.federated.aggregation import (
    ASYNCHRONOUS_STRATEGIES,
    NUM_SAMPLES,
    Arrival,
    ServerState,
    polynomial_weight,
)
from shared.federated.aggregation.fedasync import fedasync
from shared.federated.aggregation.fedbuff import fedbuff
from shared.federated.aggregation.running_average import running_average
from shared.federated.policies import AsynchronousSettings
from shared.federated.update import MOST_SAMPLES
from shared.federated.weights import Array, SchemaMismatch
from tests.federated.arrivals import arrays, came, samples, state

SETTINGS = AsynchronousSettings(mixing=0.5, server_learning_rate=1.0)


def numbers(made: ServerState) -> list[float]:
    told: list[float] = made.weights["a"].tolist()
    return told


def test_staleness_by_hand() -> None:
    assert polynomial_weight(0, 0.5) == 1.0
    assert polynomial_weight(3, 0.5) == 0.5  # 1 / sqrt(4)
    assert polynomial_weight(9, 1.0) == 0.1
    assert polynomial_weight(7, 0.0) == 1.0


@given(st.integers(0, 100_000), st.floats(0, 10))
def test_staleness_only_takes_away(staleness: int, exponent: float) -> None:
    weights = [polynomial_weight(each, exponent) for each in (0, staleness, staleness + 1)]
    assert all(0 < later <= sooner <= 1 for sooner, later in pairwise(weights))


def test_running_average_by_hand() -> None:
    made = running_average(state(1.0, 4.0, num_samples=30), [came([5.0, 0.0], 10)], SETTINGS)
    # (30*1 + 10*5)/40 = 2 and (30*4 + 10*0)/40 = 3
    assert numbers(made) == [2.0, 3.0]
    assert made.kept == {NUM_SAMPLES: 40}


def test_the_first_update_replaces_what_nobody_trained() -> None:
    made = running_average(state(7.0), [came([0.25], 3)], SETTINGS)
    assert (numbers(made), made.kept) == ([0.25], {NUM_SAMPLES: 3})


@given(st.lists(st.tuples(arrays, samples), min_size=1, max_size=6))
@settings(deadline=None)
def test_the_running_average_is_the_mean_of_all(sent: list[tuple[Array, int]]) -> None:
    now = state(*np.zeros(5))
    for weights, count in sent:
        now = running_average(now, [came(weights, count)], SETTINGS)
    stacked = np.stack([weights.astype(np.float64) for weights, _ in sent])
    expected = np.average(stacked, axis=0, weights=[count for _, count in sent])
    scale = np.abs(stacked).max(axis=0)  # each version is rounded to float32
    assert (np.abs(now.weights["a"] - expected) <= len(sent) * scale * 1e-6 + 1e-40).all()
    assert now.kept[NUM_SAMPLES] == sum(count for _, count in sent)


def test_fedasync_by_hand() -> None:
    fresh = fedasync(state(0.0, 8.0), [came([4.0, 0.0])], SETTINGS)
    assert numbers(fresh) == [2.0, 4.0]  # half way
    stale = fedasync(state(0.0, 8.0), [came([4.0, 0.0], weight=0.5)], SETTINGS)
    assert numbers(stale) == [1.0, 6.0]  # a quarter of the way
    whole = AsynchronousSettings(mixing=1.0)
    assert numbers(fedasync(state(9.0), [came([4.0])], whole)) == [4.0]


def test_fedasync_looks_at_no_sample_count() -> None:
    one, many = (
        fedasync(state(0.0), [came([1.0], count)], SETTINGS) for count in (1, MOST_SAMPLES)
    )
    assert numbers(one) == numbers(many)


def test_fedbuff_by_hand() -> None:
    arrivals = [
        came([3.0, 0.0], base=[1.0, 0.0]),  # moved by (2, 0)
        came([4.0, 6.0], base=[0.0, 2.0], device="device2", weight=0.5),  # by (4, 4), half
    ]
    made = fedbuff(state(10.0, 20.0), arrivals, SETTINGS)
    # 10 + (2 + 2)/2 = 12 and 20 + (0 + 2)/2 = 21
    assert numbers(made) == [12.0, 21.0]
    faster = AsynchronousSettings(server_learning_rate=3.0)
    assert numbers(fedbuff(state(10.0, 20.0), arrivals, faster)) == [16.0, 23.0]


@given(arrays, st.lists(arrays, min_size=1, max_size=5))
@settings(deadline=None)
def test_who_changed_nothing_changes_nothing(server: Array, bases: list[Array]) -> None:
    made = fedbuff(state(*server), [came(base, base=base) for base in bases], SETTINGS)
    np.testing.assert_array_equal(made.weights["a"], server)


@given(
    arrays,
    st.lists(st.tuples(arrays, arrays), min_size=2, max_size=5),
    st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_the_order_of_devices_changes_no_bit_of_a_buffer(
    server: Array, moves: list[tuple[Array, Array]], shuffle: random.Random
) -> None:
    arrivals = [
        came(after, base=before, device=f"device{index}", weight=1 / (1 + index))
        for index, (after, before) in enumerate(moves)
    ]
    shuffled: list[Arrival] = list(arrivals)
    shuffle.shuffle(shuffled)
    before, after = (fedbuff(state(*server), each, SETTINGS) for each in (arrivals, shuffled))
    assert before.weights["a"].tobytes() == after.weights["a"].tobytes()


@given(arrays, samples, st.floats(0.001, 1), st.floats(0.001, 1))
@settings(deadline=None)
def test_who_sends_the_model_itself_changes_nothing(
    server: Array, count: int, mixing: float, weight: float
) -> None:
    told = AsynchronousSettings(mixing=mixing)
    arrival = came(server, count, base=server, weight=weight)
    for name, strategy in ASYNCHRONOUS_STRATEGIES.items():
        made = strategy.apply(state(*server, num_samples=3), [arrival], told)
        np.testing.assert_array_equal(made.weights["a"], server, err_msg=name)


def test_how_many_updates_make_a_version_and_how_much_they_count() -> None:
    told = AsynchronousSettings(buffer_size=7, staleness_exponent=1.0)
    rules = ASYNCHRONOUS_STRATEGIES
    assert {name: rule.needed(told) for name, rule in rules.items()} == {
        "running_average": 1,
        "fedasync": 1,
        "fedbuff": 7,
    }
    assert {name: rule.weight(1, told) for name, rule in rules.items()} == {
        "running_average": 1.0,
        "fedasync": 0.5,
        "fedbuff": 0.5,
    }


def test_weights_of_another_network_are_refused() -> None:
    for strategy in ASYNCHRONOUS_STRATEGIES.values():
        with pytest.raises(SchemaMismatch):
            strategy.apply(state(1.0, 2.0, num_samples=1), [came([1.0])], SETTINGS)
