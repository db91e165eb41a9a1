"""FedProx, FedNova, SCAFFOLD and FedDyn, against numbers worked out by hand."""

import pytest
from pydantic import ValidationError

from shared.federated.aggregation.feddyn import FedDyn
from shared.federated.aggregation.fednova import FedNova
from shared.federated.aggregation.fedprox import FedProx
from shared.federated.aggregation.scaffold import Scaffold
from tests.federated.arrivals import X, came, is_fedavg, numbers, pair, state


@pytest.mark.parametrize("mu", [0.0, 0.01, 1000.0])
def test_fedprox_averages_as_fedavg_whatever_mu_is(mu: float) -> None:
    """μ is for the devices, which are held near the version that they started from."""
    made = FedProx(mu=mu).next(state(*X), pair(), 2)
    # (1*3 + 3*-1)/4 = 0 and (1*-2 + 3*2)/4 = 1
    assert numbers(made) == [0.0, 1.0]
    assert not made.slots


def test_fednova_by_hand() -> None:
    arrivals = pair(told=({"num_steps": 2}, {"num_steps": 8}))
    made = FedNova().next(state(*X), arrivals, 2)
    # p = 1/4, 3/4; tau = 2/4 + 8*3/4 = 6.5
    # First number: 1/4*2/2 + 3/4*(-2)/8 = 0.0625, so 1 + 6.5*0.0625 = 1.40625
    # Second: 1/4*0/2 + 3/4*4/8 = 0.375, so -2 + 6.5*0.375 = 0.4375
    assert numbers(made) == [1.40625, 0.4375]
    # The next round starts from it; the second device's update is late: it started from X, and
    # counts half: p = 1/2.5, 1.5/2.5.
    now = numbers(made)
    late = [
        came([now[0] + 4.0, now[1]], 1, base=now, told={"num_steps": 4}),
        came([2.0, -2.0], 3, base=X, device="device2", weight=0.5, told={"num_steps": 1}),
    ]
    # tau = 0.4*4 + 0.6*1 = 2.2; 0.4*4/4 + 0.6*1/1 = 1; 1.40625 + 2.2 = 3.60625
    after = numbers(FedNova().next(made, late, 2))
    assert after == pytest.approx([3.60625, 0.4375], rel=1e-6)


def test_fednova_with_equal_steps_is_fedavg() -> None:
    """Then tau is that number of steps, and it cancels."""
    assert is_fedavg(FedNova(), pair(told=({"num_steps": 7}, {"num_steps": 7})))
    assert not is_fedavg(FedNova(), pair(told=({"num_steps": 7}, {"num_steps": 6})))


def test_fednova_gives_many_steps_no_more_say() -> None:
    """Twice the steps that went twice as far count as much as once the steps."""
    usual = [
        came([1.0], base=[0.0], told={"num_steps": 10}),
        came([-1.0], base=[0.0], device="device2", told={"num_steps": 10}),
    ]
    longer = [usual[0], came([-2.0], base=[0.0], device="device2", told={"num_steps": 20})]
    assert numbers(FedNova().next(state(0.0), usual, 2)) == [0.0]
    assert numbers(FedNova().next(state(0.0), longer, 2)) == [0.0]


def test_fednova_adds_up_before_it_rounds() -> None:
    """The change alone is beyond float32; what it makes of the global model is not."""
    arrivals = [
        came([1.4e37], base=[0.0], told={"num_steps": 1}),
        came([0.0], base=[0.0], device="device2", told={"num_steps": 99}),
    ]
    made = FedNova().next(state(-3e38), arrivals, 2)
    # tau = 50, and -3e38 + 50*1.4e37/2 = 5e37
    assert numbers(made) == pytest.approx([5e37], rel=1e-6)


def test_fednova_believes_no_number_of_steps_that_is_far_from_the_others() -> None:
    def change(*steps: int) -> float:
        arrivals = [
            came([1.0], base=[0.0], device=f"device{number}", told={"num_steps": each})
            for number, each in enumerate(steps)
        ]
        return numbers(FedNova().next(state(0.0), arrivals, len(steps)))[0]

    # tau = (10 + 10 + 1000)/3 = 340, and 340*(1/10 + 1/10 + 1/1000)/3 = 22.78
    assert change(10, 10, 2**31) == pytest.approx(22.78)
    assert change(10, 10, 1000) == pytest.approx(22.78)
    # tau = (1000 + 1000 + 10)/3 = 670, and 670*(1/1000 + 1/1000 + 1/10)/3 = 22.78
    assert change(1000, 1000, 1) == pytest.approx(22.78)
    assert change(10, 10, 999) != pytest.approx(22.78, rel=1e-6)


def test_scaffold_by_hand() -> None:
    """With equal sizes the paper's means: of those that sent, and |S|/N of c's change."""
    rule = Scaffold(server_learning_rate=0.5)
    first = [
        came([2.0], 7, base=[1.0], control=[1.0]),
        came([4.0], 7, base=[1.0], device="device2", control=[3.0]),
    ]
    made = rule.next(state(1.0), first, 4)  # two of four devices
    # x = 1 + 0.5*(1 + 3)/2 = 2, and c = 0 + 2/4*(1 + 3)/2 = 1
    assert (numbers(made), numbers(made, "control")) == ([2.0], [1.0])
    second = [came([6.0], 7, base=[2.0], device="device3", control=[-2.0])]
    made = rule.next(made, second, 4)
    # x = 2 + 0.5*4 = 4, and c = 1 + 1/4*(-2) = 0.5
    assert (numbers(made), numbers(made, "control")) == ([4.0], [0.5])


def test_scaffold_weighs_weights_by_samples_and_control_variates_alike() -> None:
    """What a Δc_i counts may not depend on who else has sent: they have to add up to c_i."""
    arrivals = [
        came([2.0], 1, base=[1.0], control=[4.0]),
        came([5.0], 3, base=[1.0], device="device2", control=[-2.0], weight=0.5),
    ]
    made = Scaffold().next(state(1.0), arrivals, 2)
    # x = 1 + (1*1 + 0.5*3*4)/2.5 = 3.8, and c = (4 - 2)/2 = 1
    assert numbers(made) == pytest.approx([3.8])
    assert numbers(made, "control") == [1.0]


def test_scaffold_counts_devices_not_updates() -> None:
    """c is the mean of all c_i: of two updates of one device both count, but N stays 2."""
    arrivals = [
        came([1.0], base=[1.0], control=[1.0]),
        came([1.0], base=[1.0], control=[2.0]),  # of the same device, which was late
        came([1.0], base=[1.0], device="device2", control=[3.0]),
    ]
    made = Scaffold().next(state(1.0), arrivals, 2)
    assert numbers(made, "control") == [3.0]  # (1 + 2 + 3)/2
    assert numbers(Scaffold().next(state(1.0), arrivals, 1), "control") == [3.0]  # two are known


def test_feddyn_by_hand() -> None:
    rule = FedDyn(alpha=0.5)
    first = [
        came([3.0], 1, base=[1.0]),
        came([5.0], 99, base=[1.0], device="device2"),  # numbers of samples do not matter
    ]
    made = rule.next(state(1.0), first, 4)  # two of four devices
    # h = 0 - 0.5/4*(2 + 4) = -0.75, and x = (3 + 5)/2 + 0.75/0.5 = 5.5
    assert (numbers(made, "drift"), numbers(made)) == ([-0.75], [5.5])
    second = [came([4.5], 7, base=[5.5], device="device3")]
    made = rule.next(made, second, 4)
    # h = -0.75 - 0.5/4*(-1) = -0.625, and x = 4.5 + 0.625/0.5 = 5.75
    assert (numbers(made, "drift"), numbers(made)) == ([-0.625], [5.75])


def test_feddyn_sums_what_devices_changed_also_when_one_sent_twice() -> None:
    """h sums the h_i of N devices; a device's h_i changed with each update that it sent."""
    arrivals = [
        came([2.0], base=[1.0]),
        came([4.0], base=[1.0]),
        came([3.0], base=[1.0], device="device2"),
    ]
    made = FedDyn(alpha=0.5).next(state(1.0), arrivals, 2)
    # h = -0.5/2*(1 + 3 + 2) = -1.5, and x = (2 + 4 + 3)/3 + 1.5/0.5 = 6
    assert (numbers(made, "drift"), numbers(made)) == ([-1.5], [6.0])


def test_feddyn_with_everybody_and_equal_updates_goes_twice_as_far() -> None:
    """In the first round h/alpha is minus the mean change, whatever alpha is."""
    for alpha in (1e-6, 0.01, 100.0):
        made = FedDyn(alpha=alpha).next(state(1.0), [came([1.5], base=[1.0])], 1)
        assert numbers(made) == pytest.approx([2.0], rel=1e-6)


def test_feddyn_bends_losses_by_something() -> None:
    """Of an α of 1e-40 float32 has no digits, and h/α would be off by any factor."""
    with pytest.raises(ValidationError, match="alpha"):
        FedDyn(alpha=1e-40)
