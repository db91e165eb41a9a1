"""FedAvg, against numbers worked out by hand and against float64."""

import random
from collections.abc import Mapping

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from shared.federated.update import MOST_SAMPLES, Update
from shared.federated.weights import Array
from tests.federated.arrivals import fedavg

_LARGE = float(np.float32(1e30))
_numbers = st.floats(-_LARGE, _LARGE, width=32)


@st.composite
def updates(draw: st.DrawFn, least: int = 1) -> list[Update]:
    """Updates of one schema, of up to five devices."""
    shapes = draw(
        st.dictionaries(
            st.sampled_from(["head/kernel", "head/bias", "conv/kernel"]),
            numpy_strategies.array_shapes(max_dims=3, max_side=4),
            min_size=1,
        )
    )
    return [
        Update(
            device=f"device{index}",
            num_samples=draw(st.integers(1, MOST_SAMPLES)),
            weights={
                name: draw(numpy_strategies.arrays(np.float32, shape, elements=_numbers))
                for name, shape in shapes.items()
            },
        )
        for index in range(draw(st.integers(least, 5)))
    ]


def one(device: str, num_samples: int, *numbers: float) -> Update:
    return Update(device, num_samples, {"a": np.array(numbers, np.float32)})


def test_by_hand() -> None:
    average = fedavg([one("device1", 10, 10.0, 0.0), one("device2", 20, 20.0, 3.0)])
    # (10*10 + 20*20)/30 = 16.667 and (0*10 + 3*20)/30 = 2
    np.testing.assert_allclose(average["a"], [500 / 30, 2.0], rtol=1e-7)


def test_two_models_are_not_shrunk() -> None:
    """Dividing by a fixed number of devices (a third, for two) would give 2/3 here."""
    average = fedavg([one("device1", 5, 1.0), one("device2", 5, 1.0)])
    assert average["a"].tolist() == [1.0]


def test_sample_counts_of_one_beside_many() -> None:
    average = fedavg([one("device1", 1, 1.0), one("device2", MOST_SAMPLES, 0.0)])
    np.testing.assert_allclose(average["a"], [1 / (1 + MOST_SAMPLES)], rtol=1e-6)


@given(updates(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_order_does_not_change_a_bit(given_updates: list[Update], shuffle: random.Random) -> None:
    shuffled = list(given_updates)
    shuffle.shuffle(shuffled)
    assert_equal(fedavg(given_updates), fedavg(shuffled))


@given(updates(), st.lists(st.integers(1, MOST_SAMPLES), min_size=1, max_size=5))
@settings(deadline=None)
def test_equal_updates_give_themselves(given_updates: list[Update], counts: list[int]) -> None:
    weights = given_updates[0].weights
    same = [Update(f"device{index}", count, weights) for index, count in enumerate(counts)]
    assert_equal(fedavg(same), weights)


@given(updates(least=2))
@settings(deadline=None)
def test_it_is_the_weighted_mean(given_updates: list[Update]) -> None:
    average = fedavg(given_updates)
    counts = [float(update.num_samples) for update in given_updates]
    assert average.keys() == given_updates[0].weights.keys()
    for name, array in average.items():
        stacked = np.stack([update.weights[name].astype(np.float64) for update in given_updates])
        expected = np.average(stacked, axis=0, weights=counts)
        # Cancellation is judged by the size of what was added, not of what is left.
        scale = np.abs(stacked).max(axis=0)
        assert array.dtype == np.float32
        assert array.shape == stacked.shape[1:]
        assert (np.abs(array - expected) <= scale * 1e-6 + 1e-45).all()


@given(updates())
@settings(deadline=None)
def test_updates_are_left_as_they_are(given_updates: list[Update]) -> None:
    before = [
        {name: array.copy() for name, array in update.weights.items()} for update in given_updates
    ]
    fedavg(given_updates)
    for update, copy in zip(given_updates, before, strict=True):
        assert_equal(update.weights, copy)


def test_a_late_update_counts_less() -> None:
    late = Update("device2", 20, {"a": np.array([20.0, 3.0], np.float32)}, weight=0.5)
    average = fedavg([one("device1", 10, 10.0, 0.0), late])
    # (10*10 + 20*0.5*20)/20 = 15 and 20*0.5*3/20 = 1.5
    assert average["a"].tolist() == [15.0, 1.5]


@given(updates())
@settings(deadline=None)
def test_a_weight_of_one_changes_no_bit(given_updates: list[Update]) -> None:
    """As it was when sums were of whole numbers of samples."""
    average = fedavg(given_updates)
    for name in average:
        weighted_sum, total = np.full(average[name].shape, -0.0), 0
        for update in given_updates:  # their names are in order
            weighted_sum = weighted_sum + update.weights[name].astype(np.float64) * float(
                update.num_samples
            )
            total += update.num_samples
        expected = np.asarray(weighted_sum / total, np.float32)
        assert average[name].tobytes() == expected.tobytes()


def assert_equal(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> None:
    """Equal as numbers, to the last bit (but for the sign of zero)."""
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])
