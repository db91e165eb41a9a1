"""q-FFL, against numbers worked out by hand."""

import pytest

from shared.federated.aggregation import Arrival
from shared.federated.aggregation.q_ffl import QFFL
from tests.federated.arrivals import came, is_fedavg, numbers, pair, state


def q_ffl_pair() -> list[Arrival]:
    """Learning rate 1/2, so L = 2; losses 1 and 3; changes (3, 4), of norm 5, and (0, -1)."""
    return [
        came([3.0, 4.0], base=[0.0, 0.0], told={"learning_rate": 0.5, "base_loss": 1.0}),
        came(
            [0.0, -1.0],
            base=[0.0, 0.0],
            device="device2",
            told={"learning_rate": 0.5, "base_loss": 3.0},
        ),
    ]


def test_q_ffl_by_hand() -> None:
    made = QFFL(q=1.0).next(state(0.0, 0.0), q_ffl_pair(), 2)
    # |L*change|^2 = 100 and 4; h = 1*1*100 + 2*1 = 102 and 1*1*4 + 2*3 = 10, together 112
    # F*L*change = 1*2*(3, 4) = (6, 8) and 3*2*(0, -1) = (0, -6), together (6, 2)
    assert numbers(made) == pytest.approx([6 / 112, 2 / 112], rel=1e-6)
    # From there, with q = 2: the second device again, of 5 samples, and half as heavy.
    now = numbers(made)
    arrival = came(
        [now[0] + 1.0, now[1]],
        5,
        base=now,
        device="device2",
        weight=0.5,
        told={"learning_rate": 0.5, "base_loss": 3.0},
    )
    # h = 2*3*4 + 2*9 = 42, F^2*L*change = 9*2*(1, 0) = (18, 0); alone, its samples cancel
    after = numbers(QFFL(q=2.0).next(made, [arrival], 2))
    assert after == pytest.approx([now[0] + 18 / 42, now[1]], rel=1e-6)


def test_q_ffl_gives_samples_their_share() -> None:
    first, second = q_ffl_pair()
    three = [first, second, second]
    told = second.update.told
    twice = [first, came([0.0, -1.0], 2, base=[0.0, 0.0], device="device2", told=told)]
    made = [numbers(QFFL().next(state(0.0, 0.0), each, 2)) for each in (three, twice)]
    assert made[0] == pytest.approx(made[1], rel=1e-6)


def test_q_ffl_with_q_0_and_one_learning_rate_is_fedavg() -> None:
    """Then h is L, and L cancels; losses do not matter."""
    told = {"learning_rate": 0.003, "base_loss": 0.0}, {"learning_rate": 0.003, "base_loss": 9.0}
    assert is_fedavg(QFFL(q=0.0), pair(told=told))
    told = {"learning_rate": 0.003, "base_loss": 0.0}, {"learning_rate": 0.3, "base_loss": 9.0}
    assert not is_fedavg(QFFL(q=0.0), pair(told=told))


def test_q_ffl_turns_to_who_is_served_badly() -> None:
    """The larger q is, the more of the change is that of the device with the high loss."""
    arrivals = [
        came([1.0, 0.0], base=[0.0, 0.0], told={"learning_rate": 0.1, "base_loss": 0.5}),
        came(
            [0.0, 1.0],
            base=[0.0, 0.0],
            device="device2",
            told={"learning_rate": 0.1, "base_loss": 2.0},
        ),
    ]
    ratios = []
    for q in (0.0, 1.0, 2.0):
        one, two = numbers(QFFL(q=q).next(state(0.0, 0.0), arrivals, 2))
        ratios.append(two / one)
    assert ratios == pytest.approx([1.0, 4.0, 16.0], rel=1e-5)  # (2 / 0.5)^q
