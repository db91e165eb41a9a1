"""FedBN and FedPer: what stays on devices, and that all else is FedAvg's."""

import numpy as np
import pytest

from shared.federated.aggregation import Arrival, NothingShared, ServerState, Strategy
from shared.federated.aggregation.fedavg import FedAvg
from shared.federated.aggregation.fedbn import FedBN
from shared.federated.aggregation.fedper import FedPer
from shared.federated.update import Update
from shared.federated.weights import Array, Schema, SchemaMismatch

NETWORK = {
    "conv/kernel": [1.0, 2.0],
    "bn/gamma": [1.0],
    "bn/beta": [0.0],
    "bn/moving_mean": [0.5],
    "bn/moving_variance": [2.0],
    "classes/kernel": [3.0],
    "classes/bias": [4.0],
}
NORMALISATION = {"bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"}
HEAD = {"classes/kernel", "classes/bias"}


def network() -> dict[str, Array]:
    return {name: np.array(numbers, np.float32) for name, numbers in NETWORK.items()}


def sent(
    device: str, num_samples: int, base: ServerState, add: float, without: set[str]
) -> Arrival:
    """An update that has added to each number of its base; some arrays stayed on the device."""
    weights = {
        name: array + np.float32(add) for name, array in base.weights.items() if name not in without
    }
    return Arrival(Update(device, num_samples, weights), base.weights)


@pytest.mark.parametrize(("rule", "stay"), [(FedBN(), NORMALISATION), (FedPer(), HEAD)])
def test_two_rounds_by_hand(rule: Strategy, stay: set[str]) -> None:
    first = ServerState(network())
    arrivals = [sent("device1", 1, first, 4.0, stay), sent("device2", 3, first, 0.0, stay)]
    second = rule.next(first, arrivals, 2)
    # (1*4 + 3*0)/4 = 1 is added to what is shared.
    for name, array in second.weights.items():
        expected = np.array(NETWORK[name], np.float32) + (0 if name in stay else 1)
        np.testing.assert_array_equal(array, expected, err_msg=name)
    third = rule.next(second, [sent("device2", 3, second, -0.5, stay)], 2)
    for name, array in third.weights.items():
        expected = np.array(NETWORK[name], np.float32) + (0 if name in stay else 0.5)
        np.testing.assert_array_equal(array, expected, err_msg=name)
    assert not third.slots


@pytest.mark.parametrize(("rule", "stay"), [(FedBN(), NORMALISATION), (FedPer(), HEAD)])
def test_what_is_shared_is_averaged_as_fedavg_does(rule: Strategy, stay: set[str]) -> None:
    base = ServerState(network())
    moves = [("device1", 7, 0.3), ("device2", 5, -1.7), ("device3", 1, 2.0)]
    ours = rule.next(base, [sent(*each[:2], base, each[2], stay) for each in moves], 3)
    theirs = FedAvg().next(base, [sent(*each[:2], base, each[2], set()) for each in moves], 3)
    for name, array in ours.weights.items():
        expected = base.weights[name] if name in stay else theirs.weights[name]
        assert array.tobytes() == expected.tobytes(), name


@pytest.mark.parametrize(("rule", "stay"), [(FedBN(), NORMALISATION), (FedPer(), HEAD)])
def test_an_update_that_has_what_stays_is_refused(rule: Strategy, stay: set[str]) -> None:
    base = ServerState(network())
    for name in stay:
        with pytest.raises(SchemaMismatch, match=f"{name} is not part"):
            rule.next(base, [sent("device1", 1, base, 1.0, stay - {name})], 1)


def test_an_update_has_all_but_what_stays() -> None:
    schema = Schema.of(network())
    for rule, stay in ((FedBN(), NORMALISATION), (FedPer(), HEAD)):
        names = {name for name, _ in rule.update_schema(schema).shapes}
        assert names == NETWORK.keys() - stay


def test_layers_are_chosen_by_pattern() -> None:
    rule = FedPer(layers=("bn/*", "*/bias"))
    assert {name for name in NETWORK if rule.stays(name)} == {*NORMALISATION, "classes/bias"}
    assert not rule.stays("BN/gamma")  # capitals are other names


def test_something_has_to_be_shared() -> None:
    """Statistics alone are no network: nothing that is trained would be combined."""
    base = ServerState(network())
    with pytest.raises(NothingShared, match="classes/kernel"):
        FedPer(layers=("*/kernel", "*/bias", "*/gamma", "*/beta")).next(base, [], 1)
