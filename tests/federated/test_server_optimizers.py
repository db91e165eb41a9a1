"""FedAvgM, FedAdagrad, FedAdam and FedYogi, against numbers worked out by hand."""

import math

import pytest

from shared.federated.aggregation import STRATEGIES, Arrival, ServerState, Strategy
from shared.federated.aggregation.adaptive import Adaptive
from shared.federated.aggregation.fedadagrad import FedAdagrad
from shared.federated.aggregation.fedadam import FedAdam
from shared.federated.aggregation.fedavg import FedAvg
from shared.federated.aggregation.fedavgm import FedAvgM
from shared.federated.aggregation.fedyogi import FedYogi
from tests.federated.arrivals import came, numbers, state

ADAPTIVE = [FedAdagrad, FedAdam, FedYogi]


def step(rule: Strategy, now: ServerState, change: float) -> ServerState:
    """The next state after a round whose mean change, of samples 1 and 3, is ``change``."""
    (at,) = numbers(now)
    arrivals = [
        came([at + change + 3.0], 1, base=[at]),
        came([at + change - 1.0], 3, base=[at], device="device2"),
    ]
    return rule.next(now, arrivals, 2)


def told(made: ServerState) -> tuple[float, float, float]:
    """Momentum, root of the second moment, and the global model."""
    (momentum,), (root,), (weights,) = (
        numbers(made, "momentum"),
        numbers(made, "root"),
        numbers(made),
    )
    return momentum, root, weights


def test_fedavgm_by_hand() -> None:
    rule = FedAvgM(server_learning_rate=2.0, momentum=0.5)
    made = step(rule, state(1.0), -1.0)
    # v = 0.5*0 - 1 = -1, and x = 1 + 2*(-1) = -1
    assert (numbers(made, "momentum"), numbers(made)) == ([-1.0], [-1.0])
    made = step(rule, made, 3.0)
    # v = 0.5*(-1) + 3 = 2.5, and x = -1 + 2*2.5 = 4
    assert (numbers(made, "momentum"), numbers(made)) == ([2.5], [4.0])
    made = step(rule, made, 0.0)
    # Nobody changed anything: v = 1.25, and x = 4 + 2*1.25 = 6.5
    assert (numbers(made, "momentum"), numbers(made)) == ([1.25], [6.5])


def test_fedavgm_without_momentum_and_of_rate_1_is_fedavg() -> None:
    """β = 0 and η = 1; round after round."""
    ours = theirs = state(0.7)
    for change in (0.1, -2.0, 30.0):
        ours = step(FedAvgM(momentum=0.0, server_learning_rate=1.0), ours, change)
        theirs = step(FedAvg(), theirs, change)
        assert numbers(ours) == pytest.approx(numbers(theirs), rel=1e-6)


def test_fedavgm_takes_up_speed() -> None:
    """Of rounds that agree on a change of 1, the momentum becomes 1/(1 - β)."""
    made = state(0.0)
    for _ in range(100):
        made = step(FedAvgM(momentum=0.75), made, 1.0)
    assert numbers(made, "momentum") == pytest.approx([4.0], rel=1e-5)


def test_fedadagrad_by_hand() -> None:
    rule = FedAdagrad(server_learning_rate=1.0, beta_1=0.5, tau=0.6)
    made = step(rule, state(0.0), 0.8)
    # m = 0.5*0.8 = 0.4; v = 0.6^2 + 0.8^2 = 1; x = 0.4/(1 + 0.6) = 0.25
    assert told(made) == pytest.approx((0.4, 1.0, 0.25), rel=1e-6)
    made = step(rule, made, 0.75)
    # m = 0.5*0.4 + 0.5*0.75 = 0.575; v = 1 + 0.75^2 = 1.25^2; x = 0.25 + 0.575/1.85
    assert told(made) == pytest.approx((0.575, 1.25, 0.25 + 0.575 / 1.85), rel=1e-6)


def test_fedadagrad_has_no_momentum_unless_it_is_set() -> None:
    """As in the paper's experiments."""
    assert FedAdagrad().beta_1 == 0.0
    made = step(FedAdagrad(), state(0.0), 0.5)
    assert numbers(made, "momentum") == [0.5]


def test_fedadam_by_hand() -> None:
    rule = FedAdam(server_learning_rate=1.0, beta_1=0.5, beta_2=0.5, tau=1.0)
    made = step(rule, state(0.0), 7.0)
    # m = 0.5*7 = 3.5; v = 0.5*1^2 + 0.5*7^2 = 25; x = 3.5/(5 + 1)
    assert told(made) == pytest.approx((3.5, 5.0, 3.5 / 6), rel=1e-6)
    made = step(rule, made, -5.0)
    # m = 0.5*3.5 - 0.5*5 = -0.75; v = 0.5*25 + 0.5*25 = 25; x = 3.5/6 - 0.75/6 = 2.75/6
    assert told(made) == pytest.approx((-0.75, 5.0, 2.75 / 6), rel=1e-6)


def test_fedyogi_by_hand() -> None:
    rule = FedYogi(server_learning_rate=1.0, beta_1=0.5, beta_2=0.5, tau=1.0)
    made = step(rule, state(0.0), 4.0)
    # m = 2; v = 1, and 16 is more, so v = 1 + 0.5*16 = 9; x = 2/(3 + 1) = 0.5
    assert told(made) == pytest.approx((2.0, 3.0, 0.5), rel=1e-6)
    made = step(rule, made, 2.0)
    # m = 0.5*2 + 0.5*2 = 2; 4 is less than 9, so v = 9 - 0.5*4 = 7
    expected = (2.0, math.sqrt(7), 0.5 + 2 / (math.sqrt(7) + 1))
    assert told(made) == pytest.approx(expected, rel=1e-6)


def test_fedyogi_stays_where_the_square_is_the_second_moment() -> None:
    """The sign of nothing is 0."""
    rule = FedYogi(beta_2=0.5, tau=1.0)
    assert numbers(step(rule, state(0.0), 1.0), "root") == [1.0]


def test_fedyogi_forgets_more_slowly_than_fedadam() -> None:
    """After one large change and ten rounds without any, the large change is still there."""
    roots = []
    for rule in (FedAdam(beta_2=0.9), FedYogi(beta_2=0.9)):
        made = step(rule, state(0.0), 10.0)
        for _ in range(10):
            made = step(rule, made, 0.0)
        roots += numbers(made, "root")
    # v = 0.1*100 for both; FedAdam's is then multiplied by 0.9 ten times.
    assert roots == pytest.approx([math.sqrt(10 * 0.9**10), math.sqrt(10)], rel=1e-5)


@pytest.mark.parametrize("kind", ADAPTIVE)
def test_the_second_moment_begins_with_the_square_of_tau(kind: type[Adaptive]) -> None:
    """Nobody changed anything: FedAdam's part of τ² remains, and all of the others'."""
    made = step(kind(tau=0.5), state(3.0), 0.0)
    left = 0.99 if kind is FedAdam else 1.0
    assert told(made) == pytest.approx((0.0, 0.5 * math.sqrt(left), 3.0), rel=1e-6)


@pytest.mark.parametrize("kind", ADAPTIVE)
def test_numbers_that_change_little_move_as_far_as_those_that_change_much(
    kind: type[Adaptive],
) -> None:
    """That is what an adaptive rate is for; as long as changes are larger than τ."""
    rule = kind(tau=1e-9)
    arrivals = [came([1e-3, 10.0], base=[0.0, 0.0])]
    small, large = numbers(rule.next(state(0.0, 0.0), arrivals, 1))
    assert small == pytest.approx(large, rel=1e-4)


@pytest.mark.parametrize("kind", ADAPTIVE)
def test_squares_of_large_changes_are_within_float32(kind: type[Adaptive]) -> None:
    """The square of 1e25 is not; its root is kept."""
    made = step(kind(), state(0.0), 1e25)
    momentum, root, moved = told(made)
    first = (1 - kind().beta_1) * 1e25
    share = 1.0 if kind is FedAdagrad else 0.01
    assert momentum == pytest.approx(first, rel=1e-6)
    assert root == pytest.approx(math.sqrt(share) * 1e25, rel=1e-6)
    assert moved == pytest.approx(0.01 * first / (math.sqrt(share) * 1e25), rel=1e-6)


@pytest.mark.parametrize(
    "name", [name for name in STRATEGIES if STRATEGIES[name].kind == "server optimiser"]
)
def test_who_sent_nothing_counts_as_one_that_changed_nothing(name: str) -> None:
    """The change of one of 1 sample, beside 3 of devices that sent nothing, is a quarter."""
    rule = STRATEGIES[name]()
    assert rule.counts_unchanged
    unchanged: Arrival = came([1.0], 3, base=[1.0], device="")
    made = rule.next(state(1.0), [came([5.0], base=[1.0]), unchanged], 2)
    alone = rule.next(state(1.0), [came([2.0], base=[1.0])], 1)
    assert (numbers(made), numbers(made, "momentum")) == (
        numbers(alone),
        numbers(alone, "momentum"),
    )
