"""How far an update moved the weights, and which ones stand out."""

import math
import statistics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.federated.change import LEAST_NORMS, change_norm, why_it_stands_out
from shared.federated.weights import SchemaMismatch, open_weights, streamed, write_weights


def weights(**arrays: list[float]) -> dict[str, np.ndarray]:
    return {name: np.array(each, np.float32) for name, each in arrays.items()}


def test_by_hand() -> None:
    before = streamed(weights(a=[1.0, 1.0], b=[0.0]))
    after = streamed(weights(a=[3.0, 2.0], b=[2.0]))
    assert change_norm(after, before) == 3.0  # the square root of 4 + 1 + 4
    assert change_norm(before, before) == 0.0


def test_of_large_files(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    made = [{"a": generator.standard_normal((3, 70_001), np.float32)} for _ in range(2)]
    for number, each in enumerate(made):
        write_weights(tmp_path / str(number), each)
    with open_weights(tmp_path / "0") as before, open_weights(tmp_path / "1") as after:
        norm = change_norm(after, before)
    expected = np.linalg.norm(made[1]["a"].astype(np.float64) - made[0]["a"])
    assert norm == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_finite_norm(bad: float) -> None:
    before, after = streamed(weights(a=[0.0, 1.0])), streamed(weights(a=[bad, 1.0]))
    assert not math.isfinite(change_norm(after, before))


def test_the_largest_numbers_have_one() -> None:
    most = float(np.finfo(np.float32).max)
    norm = change_norm(streamed(weights(a=[most])), streamed(weights(a=[-most])))
    assert norm == pytest.approx(2 * most)


def test_other_arrays_are_refused() -> None:
    with pytest.raises(SchemaMismatch, match="b is missing"):
        change_norm(streamed(weights(a=[1.0])), streamed(weights(a=[1.0], b=[1.0])))


def test_far_outside() -> None:
    others = [1.0, 1.1, 0.9, 1.0, 1.2, 0.8]
    # median 1, deviations 0, 0, 0.1, 0.1, 0.2, 0.2: their median is 0.1, so the bound is
    # 1 + 6 * 0.14826 = 1.89
    assert why_it_stands_out(1.88, others) is None
    told = why_it_stands_out(1.9, others)
    assert told is not None
    assert "norm of 1.9; the median of the 6 updates before it is 1" in told


def test_devices_that_are_all_alike_make_nobody_suspicious() -> None:
    assert why_it_stands_out(1.5, [1.0] * 50) is None
    assert why_it_stands_out(1.7, [1.0] * 50) is not None


def test_a_few_wild_ones_hide_no_other() -> None:
    assert why_it_stands_out(40.0, [1.0, 1.1, 0.9, 1.0, 1.0, 50.0, 60.0]) is not None


def test_nothing_is_said_without_others() -> None:
    assert why_it_stands_out(1e9, [1.0] * (LEAST_NORMS - 1)) is None
    assert why_it_stands_out(1e9, [0.0] * LEAST_NORMS) is None


@given(st.lists(st.floats(0, 1e30), min_size=LEAST_NORMS, max_size=50))
def test_no_norm_up_to_the_median_stands_out(others: list[float]) -> None:
    assert why_it_stands_out(statistics.median(others), others) is None
    assert why_it_stands_out(min(others), others) is None
