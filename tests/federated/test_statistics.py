"""Statistics of weights, against numpy's with everything in memory."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shared.federated import statistics as module
from shared.federated.statistics import (
    HISTOGRAM_BINS,
    Difference,
    Summary,
    histogram,
    statistics,
)
from shared.federated.weights import Array, SchemaMismatch, open_weights, write_weights

_LARGEST = float(np.finfo(np.float32).max)

_numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
_arrays = arrays.arrays(
    np.float32, st.one_of(st.just(()), st.tuples(st.integers(0, 30))), elements=_numbers
)
_examples = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few numbers are several blocks."""
    monkeypatch.setattr(module, "_BLOCK_NUMBERS", 7)


def assert_is(summary: Summary, array: Array) -> None:
    """Whether a summary is what numpy says in float64."""
    exact = array.astype(np.float64).reshape(-1)
    assert summary.size == exact.size
    if not exact.size:
        assert summary == Summary(0)
        assert summary.largest is None
        return
    scale = float(np.abs(exact).max())
    assert summary.median == np.median(exact)
    assert summary.minimum == exact.min()
    assert summary.maximum == exact.max()
    assert summary.largest == scale
    assert summary.mean == pytest.approx(exact.mean(), rel=1e-12, abs=scale * 1e-14)
    assert summary.standard_deviation == pytest.approx(exact.std(), rel=1e-12, abs=scale * 1e-14)
    assert summary.norm == pytest.approx(np.linalg.norm(exact), rel=1e-12, abs=scale * 1e-14)


@given(weights=st.dictionaries(st.sampled_from("abc"), _arrays))
@_examples
@pytest.mark.usefixtures("small_blocks")
def test_layers_and_all_are_as_numpy_says(tmp_path: Path, weights: dict[str, Array]) -> None:
    write_weights(tmp_path / "weights", weights)
    with open_weights(tmp_path / "weights") as opened:
        told = statistics(opened)
    assert [layer.name for layer in told.layers] == sorted(weights)
    for layer in told.layers:
        assert layer.shape == weights[layer.name].shape
        assert_is(layer.summary, weights[layer.name])
    everything = [np.zeros(0, np.float32), *(array.reshape(-1) for array in weights.values())]
    assert_is(told.all, np.concatenate(everything))
    if told.histogram is None:
        assert told.all.size == 0
    else:
        assert sum(told.histogram.counts) == told.all.size
    json.dumps(told.as_json(), allow_nan=False)


@given(both=arrays.arrays(np.float32, st.tuples(st.just(2), st.integers(1, 30)), elements=_numbers))
@_examples
@pytest.mark.usefixtures("small_blocks")
def test_the_change_is_the_difference(tmp_path: Path, both: Array) -> None:
    for name, array in zip(("before", "after"), both, strict=True):
        write_weights(tmp_path / name, {"a": array})
    with open_weights(tmp_path / "before") as before, open_weights(tmp_path / "after") as after:
        told = statistics(Difference(before, after))
    with np.errstate(over="ignore"):
        assert_is(told.all, np.clip(both[1] - both[0], -_LARGEST, _LARGEST))


@given(
    array=arrays.arrays(
        np.float32,
        st.integers(1, 60),
        elements=st.floats(-100, 100, width=32, allow_subnormal=False),
    )
)
@_examples
@pytest.mark.usefixtures("small_blocks")
def test_the_histogram_is_numpys(tmp_path: Path, array: Array) -> None:
    write_weights(tmp_path / "weights", {"a": array})
    with open_weights(tmp_path / "weights") as opened:
        told = statistics(opened).histogram
    assert told is not None
    assert told.edges[0] <= array.min()
    assert told.edges[-1] >= array.max()
    assert (np.diff(told.edges) > 0).all()
    if array.min() < array.max():
        counts, edges = np.histogram(array.astype(np.float64), HISTOGRAM_BINS)
        assert told.counts == counts.tolist()
        np.testing.assert_allclose(told.edges, edges)


@pytest.mark.parametrize("number", [0.0, -0.0, 1.0, -3e38, 1e-45])
def test_equal_numbers_are_one_bar_in_the_middle(tmp_path: Path, number: float) -> None:
    write_weights(tmp_path / "weights", {"a": np.full(5, number, np.float32)})
    with open_weights(tmp_path / "weights") as opened:
        told = statistics(opened)
    assert told.all.standard_deviation == 0
    assert told.all.median == told.all.mean
    assert told.histogram is not None
    assert told.histogram.counts[HISTOGRAM_BINS // 2] == 5
    assert (np.diff(told.histogram.edges) > 0).all()


def test_a_histogram_of_a_wider_range_compares_versions(tmp_path: Path) -> None:
    write_weights(tmp_path / "weights", {"a": np.array([-1, 0, 1], np.float32)})
    with open_weights(tmp_path / "weights") as opened:
        told = histogram(opened, -2, 2)
    assert told.edges[0] == -2
    assert told.edges[-1] == 2
    assert [index for index, count in enumerate(told.counts) if count] == [10, 20, 30]


def test_the_difference_of_two_networks_is_refused(tmp_path: Path) -> None:
    write_weights(tmp_path / "one", {"a": np.zeros(3, np.float32)})
    write_weights(tmp_path / "other", {"a": np.zeros(4, np.float32)})
    with (
        open_weights(tmp_path / "one") as one,
        open_weights(tmp_path / "other") as other,
        pytest.raises(SchemaMismatch, match="a has shape"),
    ):
        Difference(one, other)


def test_memory_holds_blocks_and_no_model(tmp_path: Path) -> None:
    """Exact, and in a few MiB, of one array of 32 MiB and of its change."""
    generator = np.random.default_rng(0)
    array = generator.standard_normal(8 * 1024 * 1024, np.float32)
    write_weights(tmp_path / "weights", {"kernel": array})
    with open_weights(tmp_path / "weights") as opened:
        tracemalloc.start()
        told = statistics(opened)
        change = statistics(Difference(opened, opened))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < array.nbytes / 2
    assert_is(told.all, array)
    assert change.all.norm == 0
