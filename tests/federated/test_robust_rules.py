"""Robust rules, against numbers worked out by hand; and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from shared.federated.aggregation import STRATEGIES, Strategy, TooFewForStrategy
from shared.federated.aggregation.bulyan import Bulyan
from shared.federated.aggregation.geometric_median import GeometricMedian
from shared.federated.aggregation.krum import Krum
from shared.federated.aggregation.median import Median
from shared.federated.aggregation.multi_krum import MultiKrum
from shared.federated.aggregation.norm_clipping import NormClipping
from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.trimmed_mean import TrimmedMean
from shared.federated.update import Update
from tests.federated.arrivals import came, state

ROBUST = [strategy for strategy in STRATEGIES.values() if strategy.kind == "robust"]


def made(strategy: Strategy, *updates: float | list[float]) -> list[float]:
    """The next weights, of updates from device0 on that started from zeros."""
    rows = [update if isinstance(update, list) else [update] for update in updates]
    zeros = [0.0] * len(rows[0])
    arrivals = [came(row, device=f"device{n}", base=zeros) for n, row in enumerate(rows)]
    numbers: list[float] = strategy.next(state(*zeros), arrivals, len(rows)).weights["a"].tolist()
    return numbers


def test_they_are_listed_together() -> None:
    names = list(STRATEGIES)
    first = names.index("fedyogi") + 1
    assert names[first : first + len(ROBUST)] == [strategy.name for strategy in ROBUST]
    assert names[first + len(ROBUST)] == "fedbn"


@pytest.mark.parametrize("strategy", ROBUST)
def test_each_is_told_in_a_sentence_with_its_parameters(strategy: type[Strategy]) -> None:
    told = strategy.described()
    assert told["summary"].endswith(".")
    assert [each["name"] for each in told["parameters"]] == list(strategy.model_fields)
    for parameter in told["parameters"]:
        assert parameter["description"].endswith(".")
        assert "default" in parameter


def test_median() -> None:
    # 1, 2, 9: the middle one; 0, 0, 5: also
    assert made(Median(), [1.0, 0.0], [9.0, 5.0], [2.0, 0.0]) == [2.0, 0.0]
    # 1, 2, 4, 9: (2 + 4)/2
    assert made(Median(), 4.0, 1.0, 9.0, 2.0) == [3.0]
    assert made(Median(), 1.0, 4.0) == [2.5]


def test_trimmed_mean() -> None:
    # Of 5 a fifth is 1 at each end: (1 + 2 + 6)/3
    assert made(TrimmedMean(), 6.0, -70.0, 1.0, 100.0, 2.0) == [3.0]
    # Of 4 a fifth is none: all of them
    assert made(TrimmedMean(), 6.0, -70.0, 1.0, 100.0) == [9.25]
    # Of 4 a quarter is 1: (1 + 6)/2
    assert made(TrimmedMean(trim=0.25), 6.0, -70.0, 1.0, 100.0) == [3.5]


@pytest.mark.parametrize(
    ("trim", "left_out"), [(0.29, 29), (0.07, 7), (0.3, 30), (0.299, 29), (0.4999999999, 49)]
)
def test_a_share_means_what_is_written(trim: float, left_out: int) -> None:
    """0.29 * 100 is 28.999… in floats, and 0.4999999999 of any number is less than half."""
    squares = [float(number**2) for number in range(100)]
    expected = np.float32(np.mean(squares[left_out : 100 - left_out]))
    assert made(TrimmedMean(trim=trim), *squares) == [expected]


def test_krum() -> None:
    # n = 5, f = 1: the 2 nearest others count. Of 0: 1² + 3² = 10, of 1: 1² + 2² = 5,
    # of 3: 1² + 2² = 5, of 4: 1² + 3² = 10, of 100: 96² + 97². Two are best: the first device's
    assert made(Krum(), 0.0, 1.0, 3.0, 4.0, 100.0) == [1.0]
    assert made(Krum(), 100.0, 4.0, 3.0, 1.0, 0.0) == [3.0]
    # f = 0: 3 others count. Of 0: 1 + 9 + 16, of 1: 1 + 4 + 9, of 3: 1 + 4 + 9, of 4: 1 + 9 + 16
    assert made(Krum(byzantine=0), 4.0, 3.0, 1.0, 0.0, 100.0) == [3.0]
    # One other counts, and it is as far from the first as the first from it
    assert made(Krum(), 7.0, 5.0) == [7.0]


def test_krum_takes_one_update_whole() -> None:
    # n = 3, f = 0: the nearest one counts. From (0, 9) to (0, 8) it is 1, and back; from (8, 1)
    # to (0, 8) 8² + 7²
    assert made(Krum(), [8.0, 1.0], [0.0, 9.0], [0.0, 8.0]) == [0.0, 9.0]


def test_multi_krum() -> None:
    # Scores as above: 10, 5, 5, 10 and far more. n - f = 4 are averaged: (0 + 1 + 3 + 4)/4
    assert made(MultiKrum(), 0.0, 1.0, 3.0, 4.0, 100.0) == [2.0]
    # The best two: (1 + 3)/2; three: 0 comes before 4, (0 + 1 + 3)/3
    assert made(MultiKrum(selected=2), 0.0, 1.0, 3.0, 4.0, 101.0) == [2.0]
    assert made(MultiKrum(selected=3), 0.0, 1.0, 3.0, 4.0, 101.0) == [np.float32(4 / 3)]
    assert made(MultiKrum(selected=1), 0.0, 1.0, 3.0, 4.0, 100.0) == [1.0]
    # No more than n - f, whatever is asked for
    assert made(MultiKrum(selected=99), 0.0, 1.0, 3.0, 4.0, 100.0) == [2.0]
    assert made(MultiKrum(), 7.0, 5.0) == [6.0]


def test_bulyan() -> None:
    # n = 7, f = 1: 5 are selected, each with the n - 3 nearest of those that are left, at least 1.
    # Of 4: 1 + 4 + 9 + 16 = 30, the least. Then of 5: 1 + 16 + 16 = 33; of 1: 1 + 25 = 26;
    # of 6: 3² = 9, before 9 with as much; of 0: 9² = 81, before 9 with as much.
    # Of 0, 1, 4, 5, 6 the 3 nearest to the median 4 are averaged: 4, 5, 6
    assert made(Bulyan(), 0.0, 1.0, 4.0, 5.0, 6.0, 9.0, 100.0) == [5.0]
    # n = 3, f = 0: all are selected, and all averaged
    assert made(Bulyan(), 0.0, 1.0, 5.0) == [2.0]


def test_of_two_that_are_equally_near_to_the_median_bulyan_takes_the_smaller() -> None:
    # f = 1: 4 is selected, then 3, 7, 1 and 9. Nearest to the median 4 are 4, 3, and 1 as 7 is
    sent = [1.0, 3.0, 4.0, 7.0, 9.0, 30.0, 100.0]
    assert made(Bulyan(), *sent) == [np.float32((1 + 3 + 4) / 3)]
    # f = 0: all are averaged
    assert made(Bulyan(byzantine=0), *sent) == [22.0]


def test_geometric_median() -> None:
    # On a line it is the middle one
    assert made(GeometricMedian(), 0.0, 1.0, 10.0) == pytest.approx([1.0], abs=1e-3)
    # Of a square's corners the centre
    corners = [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]]
    assert made(GeometricMedian(), *corners) == [1.0, 1.0]
    # One iteration, from the mean (0 + 3 + 9)/3 = 4: distances 4, 1, 5, so
    # (0/4 + 3/1 + 9/5) / (1/4 + 1/1 + 1/5) = 4.8/1.45
    assert made(GeometricMedian(iterations=1), 0.0, 3.0, 9.0) == pytest.approx([4.8 / 1.45])


def test_a_late_update_counts_less_in_the_geometric_median() -> None:
    arrivals = [
        came([0.0], device="device1"),
        came([10.0], device="device2", weight=0.5),
    ]
    # On the way from 10 to 0 the sum of s·distance falls by 1 and grows by 0.5 a step
    (number,) = GeometricMedian().next(state(0.0), arrivals, 2).weights["a"]
    assert number == pytest.approx(0.0, abs=1e-3)
    # One iteration: from 10·0.5/1.5 = 10/3, distances 10/3 and 20/3, counts 3/10 and 0.5·3/20
    (number,) = GeometricMedian(iterations=1).next(state(0.0), arrivals, 2).weights["a"]
    assert number == pytest.approx(10 * 0.075 / 0.375)


def test_norm_clipping() -> None:
    # Norms 5 and 1, at most 1: (3, 4)/5 and (0, 1), and their mean
    given = NormClipping(bound=1.0)
    assert made(given, [3.0, 4.0], [0.0, 1.0]) == pytest.approx([0.3, 0.9])
    # Norms 5, 1, 2: at most the median 2, (3, 4)·2/5 = (1.2, 1.6) with (0, 1) and (2, 0)
    assert made(NormClipping(), [3.0, 4.0], [0.0, 1.0], [2.0, 0.0]) == pytest.approx(
        [3.2 / 3, 2.6 / 3]
    )


def test_norm_clipping_measures_from_each_base() -> None:
    arrivals = [
        came([13.0], device="device1", base=[10.0]),
        came([21.0], device="device2", base=[20.0], weight=0.5),
    ]
    made = NormClipping(bound=1.0).next(state(10.0), arrivals, 2)
    # 10 + 3 becomes 10 + 1, 20 + 1 stays: (11 + 0.5·21)/1.5
    assert made.weights["a"].tolist() == pytest.approx([21.5 / 1.5])


@pytest.mark.parametrize(
    "strategy",
    [strategy for strategy in ROBUST if strategy not in (NormClipping, GeometricMedian)],
)
def test_neither_pictures_nor_staleness_count(strategy: type[Strategy]) -> None:
    numbers = [5.0, 1.0, 2.0, 9.0, 4.0]
    arrivals = [
        came([number], 1 + 100 * n, device=f"device{n}", base=[0.0], weight=1 / (1 + n))
        for n, number in enumerate(numbers)
    ]
    told = strategy().next(state(0.0), arrivals, 5).weights["a"].tolist()
    assert told == made(strategy(), *numbers)


@pytest.mark.parametrize("strategy", [NormClipping, GeometricMedian])
def test_pictures_never_count(strategy: type[Strategy]) -> None:
    numbers = [5.0, 1.0, 2.0]
    arrivals = [
        came([number], 1 + 100 * n, device=f"device{n}", base=[0.0])
        for n, number in enumerate(numbers)
    ]
    told = strategy().next(state(0.0), arrivals, 3).weights["a"].tolist()
    assert told == made(strategy(), *numbers)


@pytest.mark.parametrize("strategy", ROBUST)
def test_statistics_are_combined_by_the_rule(strategy: type[Strategy]) -> None:
    """A variance that one update has blown up does not blow up everybody's."""
    base = {"norm/moving_variance": np.ones(3, np.float32), "kernel": np.zeros(2, np.float32)}
    arrivals = []
    for number in range(7):
        sent = {name: array + np.float32(number / 10) for name, array in base.items()}
        if number == 2:
            sent["norm/moving_variance"] = np.full(3, 1e6, np.float32)
        arrivals.append(Arrival(Update(f"device{number}", 10, sent), base))
    told = strategy().next(ServerState(base), arrivals, 7).weights
    assert (told["norm/moving_variance"] < 2).all()


@pytest.mark.parametrize(
    ("strategy", "here", "needed"),
    [(Krum, 4, 5), (MultiKrum, 4, 5), (Bulyan, 6, 7), (Krum, 1, 5)],
)
def test_too_few_updates_are_refused(strategy: type[Strategy], here: int, needed: int) -> None:
    known = strategy.model_validate({"byzantine": 1})
    with pytest.raises(TooFewForStrategy) as refused:
        made(known, *[1.0] * here)
    problem = refused.value.as_problem()
    assert problem["status"] == 409
    assert problem["type"] == "urn:fedbell:problem:too-few-for-strategy"
    assert (problem["needed"], problem["updates"]) == (needed, here)
    assert problem["detail"] == (
        f"{strategy.title} with byzantine = 1 needs at least {needed} updates, and {here} are "
        "here. Let rounds wait for more (min_updates), choose a smaller byzantine, or another "
        "strategy: it is used at once."
    )
    assert made(known, *[1.0] * needed) == [1.0]


@pytest.mark.parametrize(
    ("strategy", "parameters"),
    [
        (TrimmedMean, {"trim": 0.5}),
        (TrimmedMean, {"trim": -0.1}),
        (TrimmedMean, {"trim": float("nan")}),
        (Krum, {"byzantine": -1}),
        (MultiKrum, {"selected": 0}),
        (Krum, {"selected": 1}),
        (GeometricMedian, {"iterations": 0}),
        (GeometricMedian, {"smoothing": 0}),
        (NormClipping, {"bound": 0}),
        (NormClipping, {"bound": float("inf")}),
    ],
)
def test_parameters_without_a_meaning_are_refused(
    strategy: type[Strategy], parameters: dict[str, float]
) -> None:
    with pytest.raises(ValidationError):
        strategy.model_validate(parameters)


@pytest.mark.parametrize("strategy", ROBUST)
def test_a_device_has_one_vote_however_many_updates_of_it_came_late(
    strategy: type[Strategy],
) -> None:
    def sent(number: float, device: str, staleness: int = 0) -> Arrival:
        arrival = came([number], device=device, base=[0.0])
        return Arrival(replace(arrival.update, staleness=staleness), arrival.base)

    honest = [sent(1.0 + number / 100, f"device{number}") for number in range(7)]
    stale = [sent(1000.0 + number, "liar", number) for number in range(11)]
    now = state(0.0)
    many = strategy().next(now, [*honest, *stale], 8)
    one = strategy().next(now, [*honest, stale[0]], 8)
    np.testing.assert_array_equal(many.weights["a"], one.weights["a"])
    assert many.weights["a"][0] < 200
