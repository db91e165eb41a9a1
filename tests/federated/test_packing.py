"""Packed updates: what goes in comes out as far as each packing says, and nothing else is taken."""

import tracemalloc
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from pydantic import ValidationError
from safetensors.numpy import load

from shared.federated.packing import PACKINGS, read_update
from shared.federated.packing.int8 import BUCKET_NUMBERS
from shared.federated.policies import CompressionSettings
from shared.federated.task import Task
from shared.federated.update import PackingName, UpdateHeader
from shared.federated.weights import (
    Array,
    NotFinite,
    Schema,
    SchemaMismatch,
    constant,
    open_arrays,
    slot_of,
    write_weights,
)
from tests.federated.packed import HEADER, f32, normal, opened, packed, unpacked, zeros

METHODS: tuple[PackingName, ...] = get_args(PackingName)
_quiet = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

_names = st.sampled_from(["a", "b/kernel", "c/bias", "control:a", "control:b/kernel"])
_shapes = numpy_strategies.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6)


def _arrays(most: float) -> st.SearchStrategy[Array]:
    elements = st.floats(-most, most, width=32)
    return numpy_strategies.arrays(np.float32, _shapes, elements=elements)


def changes(most: float = 2.0**15) -> st.SearchStrategy[dict[str, Array]]:
    """Changes of any shapes, slots too; numbers that float32 has exactly, whatever is added."""
    return st.dictionaries(_names, _arrays(most), max_size=4)


def parts(weights: Mapping[str, Array], slot: str) -> list[float]:
    """All numbers of the weights, or of a slot."""
    return [
        float(number)
        for name, array in weights.items()
        if name.startswith("control:") == bool(slot)
        for number in array.ravel()
    ]


def test_float16_by_hand() -> None:
    base = {"a": f32(1, 1, 1, 1)}
    weights = {"a": f32(1.5, 1 - 2**-12, 70_001, 1)}
    body, owed = packed(weights, base, "float16")
    assert load(body)["a"].tolist() == [0.5, -(2**-12), 65_504, 0]  # the largest there is
    assert owed == {}
    assert unpacked(body, "float16", base)["a"].tolist() == [1.5, 1 - 2**-12, 65_505, 1]


def test_int8_by_hand() -> None:
    base = {"a": np.array([[1, 2], [3, 4]], np.float32)}
    weights = {"a": np.array([[1, 129], [3 - 127, 4 + 64]], np.float32)}
    body, owed = packed(weights, base, "int8")
    there = load(body)  # whole multiples of 127/127: nothing is left to chance
    assert there["a"].tolist() == [[0, 127], [-127, 64]]
    assert there["a@scales"].tolist() == [1.0]
    assert owed == {}
    np.testing.assert_array_equal(unpacked(body, "int8", base)["a"], weights["a"])


def test_top_k_by_hand() -> None:
    base = {"a": np.zeros((2, 2), np.float32), "b": np.ones(4, np.float32)}
    weights = {
        "a": np.array([[0, -5], [1, 0]], np.float32),
        "b": f32(1, 1.5, -8, 3),
    }
    body, owed = packed(weights, base, "top_k", fraction=0.375)  # 3 of 8
    there = load(body)
    assert (there["a@places"].tolist(), there["a@values"].tolist()) == ([1], [-5])
    assert (there["b@places"].tolist(), there["b@values"].tolist()) == ([2, 3], [-9, 2])
    assert owed["a"].tolist() == [[0, 0], [1, 0]]
    assert owed["b"].tolist() == [0, 0.5, 0, 0]
    back = unpacked(body, "top_k", base)
    assert back["a"].tolist() == [[0, -5], [0, 0]]
    assert back["b"].tolist() == [1, 1, -8, 3]


def test_what_was_not_sent_is_sent_later() -> None:
    base = {"a": np.zeros(4, np.float32)}
    change = {"a": f32(4, 3, 0, 0)}
    sent: list[Any] = []
    owed: dict[str, Array] = {}
    for _ in range(3):
        body, owed = packed(change, base, "top_k", fraction=0.25, residual=owed)
        sent.append(unpacked(body, "top_k", base)["a"].tolist())
    assert sent == [[4, 0, 0, 0], [0, 6, 0, 0], [8, 0, 0, 0]]
    assert owed["a"].tolist() == [0, 3, 0, 0]


def test_equal_ones_are_taken_from_the_first_on_and_zeros_never() -> None:
    base = {"a": np.zeros(3, np.float32), "b": np.zeros(3, np.float32)}
    weights = {"a": f32(0, 1, -1), "b": f32(1, 0, 0)}
    there = load(packed(weights, base, "top_k", fraction=2 / 6)[0])
    assert (there["a@places"].tolist(), there["b@places"].tolist()) == ([1, 2], [])
    there = load(packed(weights, base, "top_k", fraction=0.5)[0])
    assert (there["a@places"].tolist(), there["b@places"].tolist()) == ([1, 2], [0])
    weights["a"][:], weights["b"][:] = 0, 0
    there = load(packed(weights, base, "top_k")[0])
    assert all(array.size == 0 for array in there.values())


def test_the_header_says_how_it_was_packed(tmp_path: Path) -> None:
    file = tmp_path / "update"
    weights = {"a": np.ones(3, np.float32)}
    for method in METHODS:
        body, _ = packed(weights, zeros(weights), method)
        file.write_bytes(body)
        with open_arrays(file) as arrays:
            told = UpdateHeader.parse(arrays.metadata)
        assert told == HEADER.model_copy(update={"packing": method})


def test_without_a_method_it_is_written_as_it_is(tmp_path: Path) -> None:
    weights, held = {"a": normal(3, 4)}, {"a": normal(3, 4, seed=2)}
    told = HEADER.model_copy(update={"packing": "int8"})
    body, owed = packed(weights, {}, "none", residual=held, header=told)
    write_weights(tmp_path / "plain", weights, HEADER.as_metadata())
    assert body == (tmp_path / "plain").read_bytes()
    assert owed == {}


@given(change=changes())
@_quiet
def test_float16_is_off_by_a_half_of_its_last_place(change: dict[str, Array]) -> None:
    back = _there_and_back(change, "float16")
    for name, array in change.items():
        assert back[name].shape == array.shape
        assert (np.abs(back[name] - array) <= np.maximum(np.abs(array) * 2**-11, 2**-25)).all()


@given(change=changes(2.0**100), seed=st.integers(0, 2**31))
@_quiet
def test_int8_is_off_by_less_than_a_scale(change: dict[str, Array], seed: int) -> None:
    back = _there_and_back(change, "int8", seed=seed)
    for name, array in change.items():
        assert back[name].shape == array.shape
        exact = array.astype(np.float64)
        scale = np.abs(exact).max(initial=0) / 127
        # A scale is rounded up to a number of float32, and its multiples are rounded too.
        assert (np.abs(back[name] - exact) <= scale * (1 + 1e-5) + 1e-44).all()


@given(change=changes(2.0**100), fraction=st.floats(0.01, 0.5))
@_quiet
def test_top_k_sends_the_largest_of_each_part(change: dict[str, Array], fraction: float) -> None:
    body, owed = packed(change, zeros(change), "top_k", fraction=fraction)
    back = unpacked(body, "top_k", zeros(change), Schema.of(change))
    assert owed.keys() == {name for name in change if not slot_of(name)}
    for name in owed:
        np.testing.assert_array_equal(back[name] + owed[name], change[name])
    rest = {name: change[name] - back[name] for name in change}
    assert not any((back[name] * rest[name]).any() for name in change)
    for slot in ("", "control"):
        numbers, sent, left = (parts(each, slot) for each in (change, back, rest))
        count = sum(number != 0 for number in sent)
        due = max(1, round(fraction * len(numbers))) if numbers else 0
        assert count == min(due, sum(number != 0 for number in numbers))
        least = min((abs(number) for number in sent if number), default=0)
        assert all(abs(number) <= least for number in left)


@given(
    rounds=st.lists(
        numpy_strategies.arrays(np.int8, 12, elements=st.integers(-9, 9)), min_size=1, max_size=8
    ),
    fraction=st.sampled_from([0.01, 0.1, 0.5]),
)
@_quiet
def test_all_that_was_sent_and_what_is_owed_are_all_changes(
    rounds: list[Any], fraction: float
) -> None:
    """Exactly, for whole numbers: those float32 adds without rounding."""
    base, sent = {"a": np.zeros((3, 4), np.float32)}, np.zeros((3, 4))
    owed: dict[str, Array] = {}
    for change in rounds:
        weights = {"a": change.astype(np.float32).reshape(3, 4)}
        body, owed = packed(weights, base, "top_k", fraction=fraction, residual=owed)
        sent += unpacked(body, "top_k", base)["a"]
    np.testing.assert_array_equal(sent + owed["a"], np.sum(rounds, axis=0).reshape(3, 4))


def test_stochastic_rounding_is_right_in_the_mean() -> None:
    """The mean of n independent errors of at most half a scale's deviation each: six of its
    deviations are not met by chance, of 3,000 numbers together."""
    change, seeds = {"a": normal(3000)}, 400
    total = np.zeros(3000)
    for seed in range(seeds):
        total += _there_and_back(change, "int8", seed=seed)["a"]
    scales = np.array([np.abs(change["a"][:2048]).max(), np.abs(change["a"][2048:]).max()]) / 127
    deviation = np.repeat(scales, [2048, 952]) / 2 / seeds**0.5
    errors = np.abs(total / seeds - change["a"])
    assert (errors < 6 * deviation).all()
    # Rounding to the nearest would leave a number with its own error, whoever rounds how often.
    nearest = np.round(change["a"][:2048] / scales[0]) * scales[0]
    assert np.abs(nearest - change["a"][:2048]).mean() > 3 * errors[:2048].mean()


def test_each_bucket_has_its_own_scale() -> None:
    change = normal(2 * BUCKET_NUMBERS + 5)
    change[BUCKET_NUMBERS : 2 * BUCKET_NUMBERS] *= 1000
    change[2 * BUCKET_NUMBERS :] = 0
    body, _ = packed({"a": change}, zeros({"a": change}), "int8")
    scales = load(body)["a@scales"]
    assert scales.shape == (3,)
    for number, start in enumerate(range(0, change.size, BUCKET_NUMBERS)):
        largest = np.abs(change[start : start + BUCKET_NUMBERS]).max()
        assert scales[number] == pytest.approx(largest / 127, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_equal_seeds_give_equal_bytes(method: PackingName) -> None:
    weights, base = {"a": normal(50, 100), "b": normal(3)}, {"a": normal(50, 100, seed=2)}
    base["b"] = np.zeros(3, np.float32)
    first, again, other = (packed(weights, base, method, seed=seed)[0] for seed in (7, 7, 8))
    backwards, _ = packed(dict(reversed(weights.items())), base, method, seed=7)
    assert first == again == backwards
    assert (first == other) == (method != "int8")


@cache
def _large(method: PackingName) -> tuple[bytes, Array]:
    """A body, and its base."""
    base = normal(73, 75)
    return packed({"a": normal(73, 75, seed=2)}, {"a": base}, method, fraction=0.1)[0], base


@pytest.mark.parametrize("method", METHODS)
@given(start=st.integers(0, 5000), size=st.integers(0, 5000))
@_quiet
def test_a_block_is_read_as_the_whole_is(method: PackingName, start: int, size: int) -> None:
    """Wherever it begins and ends, also at and across the borders of buckets."""
    body, base = _large(method)
    with opened(body, method, Schema.of({"a": base})) as update:
        view = update.unpacked({"a": base})
        into: Array = np.full(min(size, base.size - start), np.nan, np.float32)
        view.read("a", start, into)
        np.testing.assert_array_equal(into, view["a"].reshape(-1)[start : start + into.size])


@pytest.mark.parametrize("method", METHODS)
def test_slots_go_with_it(method: PackingName) -> None:
    """They are changes as they are: their base is zero, also where arrays are called alike."""
    base = {"k": np.full(4, 8, np.float32)}
    weights = {
        "k": f32(8, 8, 9, 8),
        "control:k": f32(0, 64, 0, 127),
    }
    body, owed = packed(weights, base, method, fraction=0.25)
    back = unpacked(body, method, base, Schema.of(weights))
    np.testing.assert_array_equal(back["k"], weights["k"])
    # A quarter of the weights, and of the slot: the largest there does not take its place here.
    due = [0, 0, 0, 127] if method == "top_k" else [0, 64, 0, 127]
    assert back["control:k"].tolist() == due
    # Of a slot nothing is owed: who keeps it knows what was told.
    assert owed.keys() == ({"k"} if method == "top_k" else set())


@pytest.mark.parametrize("method", METHODS)
def test_statistics_are_exact(method: PackingName) -> None:
    """A variance that became small must not become negative: that is no number for a network."""
    base = {"bn/moving_variance": np.full(3, 1e4, np.float32), "bn/gamma": np.ones(3, np.float32)}
    weights = {
        "bn/moving_variance": f32(1e-5, 0, 3),
        "bn/gamma": f32(2, 1, 1),
    }
    body, owed = packed(weights, base, method)
    back = unpacked(body, method, base)
    np.testing.assert_array_equal(back["bn/moving_variance"], weights["bn/moving_variance"])
    assert "bn/moving_variance" not in owed


@pytest.mark.parametrize("method", METHODS)
def test_nothing_has_changed(method: PackingName) -> None:
    base = {"a": normal(2, 3), "scalar": np.float32(7) * np.ones((), np.float32)}
    base |= {"empty": np.zeros((0, 4), np.float32)}
    body, owed = packed(base, base, method)
    assert not any(array.any() for array in owed.values())
    back = unpacked(body, method, base)
    for name, array in base.items():
        assert back[name].tobytes() == array.tobytes()
    only = {"bn/moving_mean": np.ones(2, np.float32)}
    assert unpacked(packed(only, only, method)[0], method, only)["bn/moving_mean"].all()
    assert unpacked(packed({}, {}, method)[0], method, {}) == {}


@pytest.mark.parametrize("method", METHODS)
def test_the_base_may_have_further_arrays(method: PackingName) -> None:
    """Those that stay on the device, by some strategies."""
    base = {"shared": np.zeros(2, np.float32), "own": np.zeros((5, 5), np.float32)}
    weights = {"shared": f32(0, 127)}
    body, _ = packed(weights, base, method)
    back = unpacked(body, method, base, Schema.of(weights))
    assert {name: array.tolist() for name, array in back.items()} == {"shared": [0, 127]}


@pytest.mark.parametrize("method", ["none", *METHODS])
def test_a_device_goes_on_from_its_own_update(method: str, tmp_path: Path) -> None:
    """Nothing is lost and nothing told twice when a newer update takes the place of one."""
    base = {"a": np.zeros(4, np.float32), "bn/moving_mean": f32(1)}
    learned, file = f32(127, 64, 0, 1), tmp_path / "update"
    first = {"a": base["a"] + learned, "bn/moving_mean": f32(2)}
    body, owed = packed(first, base, method, fraction=0.25)
    file.write_bytes(body)
    start = read_update(file, base, Schema.of(base))
    assert start["bn/moving_mean"].tolist() == [2]
    second = start | {"a": start["a"] + learned}
    body, owed = packed(second, base, method, fraction=0.25, residual=owed)
    file.write_bytes(body)
    sent = read_update(file, base, Schema.of(base))["a"]
    left = owed.get("a", np.zeros(4, np.float32))
    np.testing.assert_allclose(sent + left, 2 * learned, rtol=1e-3, atol=2 * 254 / 127)
    if method in {"none", "top_k"}:
        np.testing.assert_array_equal(sent + left, 2 * learned)
    with pytest.raises(SchemaMismatch):
        read_update(file, base, Schema.of({"a": base["a"]}))


@pytest.mark.parametrize("method", ["float16", "int8"])
def test_what_top_k_owed_is_sent_by_another_method(method: PackingName) -> None:
    base = {"a": np.zeros(2, np.float32)}
    residual = {"a": f32(0, 63)}
    body, owed = packed({"a": f32(127, 0)}, base, method, residual=residual)
    assert (unpacked(body, method, base)["a"].tolist(), owed) == ([127, 63], {})


@pytest.mark.parametrize(
    "residual",
    [
        {"b": np.ones(2, np.float32)},
        {"a": np.ones(3, np.float32)},
        {"a": np.ones(2, np.float32), "b": np.ones(2, np.float32)},
        {"a": f32(np.nan, 0)},
    ],
)
def test_what_is_owed_for_another_network_is_ignored(residual: dict[str, Array]) -> None:
    weights = {"a": f32(3, 1)}
    body, owed = packed(weights, zeros(weights), "top_k", residual=residual)
    assert load(body)["a@values"].tolist() == [3]
    assert owed["a"].tolist() == [0, 1]


def test_what_diverged_is_not_packed() -> None:
    base = {"a": f32(-3e38)}
    for method in METHODS:
        with pytest.raises(NotFinite, match="a has changed by more than there are numbers"):
            packed({"a": f32(3e38)}, base, method)
        with pytest.raises(SchemaMismatch, match="a is missing"):
            packed({"a": np.ones(1, np.float32)}, {}, method)
        with pytest.raises(SchemaMismatch, match="a has shape"):
            packed({"a": np.ones(1, np.float32)}, {"a": np.ones(2, np.float32)}, method)
        with pytest.raises(SchemaMismatch, match="a@b cannot be packed"):
            packed({"a@b": np.ones(1, np.float32)}, {"a@b": np.ones(1, np.float32)}, method)


@pytest.mark.parametrize("method", METHODS)
def test_memory_does_not_grow_with_the_network(method: PackingName, tmp_path: Path) -> None:
    size = 8 * 1024 * 1024
    change = {"a": normal(size)}
    body, _ = packed(change, zeros(change), method)
    base = constant(Schema.of(change), 0)
    with opened(body, method, base.schema) as update:
        tracemalloc.start()
        try:
            update.check()
            write_weights(tmp_path / "unpacked", update.unpacked(base))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    # A few pieces of 1 MiB, with what is read for each; the network has 32.
    assert peak < 24 * 1024 * 1024


def test_a_task_says_how() -> None:
    task = {"name": "digits", "classes": ("0", "1")}
    assert Task.model_validate(task).compression == CompressionSettings(method="none")
    for method in ("none", *PACKINGS):
        told = Task.model_validate(task | {"compression": {"method": method, "fraction": 0.1}})
        assert (told.compression.method, told.compression.fraction) == (method, 0.1)
    for wrong in ({"method": "zip"}, {"fraction": 0}, {"fraction": 0.6}, {"level": 1}):
        with pytest.raises(ValidationError):
            Task.model_validate(task | {"compression": wrong})
    assert tuple(PACKINGS) == METHODS


def _there_and_back(change: dict[str, Array], method: PackingName, seed: int = 1) -> Any:
    body, owed = packed(change, zeros(change), method, seed=seed)
    assert owed == {}
    return unpacked(body, method, zeros(change), Schema.of(change))
