"""Files that should be packed updates: each is refused with a sentence."""

from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest

from shared.federated.change import change_norm
from shared.federated.update import PackingName
from shared.federated.weights import (
    NotFinite,
    Schema,
    SchemaMismatch,
    UnreadableWeights,
    streamed,
)
from tests.federated.packed import (
    body_of,
    f16,
    f32,
    i8,
    normal,
    opened,
    packed,
    u32,
    unpacked,
)

METHODS: tuple[PackingName, ...] = get_args(PackingName)
Arrays = dict[str, npt.NDArray[Any]]


@pytest.mark.parametrize("method", METHODS)
def test_numbers_beyond_float32_are_infinite_and_no_warning(method: PackingName) -> None:
    """Of a stranger's file; the main server's next look refuses it as not finite."""
    stranger: dict[PackingName, Arrays] = {
        "float16": {"a": f16(65_504)},
        "int8": {"a": i8(127), "a@scales": f32(3e38)},
        "top_k": {"a@places": u32(0), "a@values": f32(3e38)},
    }
    base = {"a": f32(3.4028235e38)}
    with opened(body_of(stranger[method]), method, Schema.of(base)) as update:
        update.check()
        norm = change_norm(update.unpacked(base), streamed(base))
    assert np.isfinite(norm) == (method == "float16")


#: For base {"a": (4,), "bn/moving_mean": (1,)}: what is wrong, and what is said of it.
HOSTILE: dict[str, tuple[PackingName, dict[str, Any], type[Exception], str]] = {
    "an array is missing": ("float16", {"a": None}, SchemaMismatch, "a is missing"),
    "a further array": ("float16", {"b": f16(1)}, SchemaMismatch, "b is not part of"),
    "float32 is not packed": ("float16", {"a": np.zeros(4, np.float32)}, SchemaMismatch, "F32"),
    "packed otherwise": ("float16", {"a": np.zeros(4, np.int8)}, SchemaMismatch, "it is F16"),
    "another shape": ("float16", {"a": np.zeros((2, 2), np.float16)}, SchemaMismatch, "shape"),
    "a packed statistic": ("float16", {"bn/moving_mean": f16(1)}, SchemaMismatch, "F16"),
    "a statistic is missing": ("int8", {"bn/moving_mean": None}, SchemaMismatch, "missing"),
    "NaN in halves": ("float16", {"a": f16(0, np.nan, 0, 0)}, NotFinite, "float16"),
    "infinity in halves": ("float16", {"a": f16(0, 0, 0, -np.inf)}, NotFinite, "a,"),
    "NaN in a statistic": ("float16", {"bn/moving_mean": f32(np.nan)}, NotFinite, "bn"),
    "no scales": ("int8", {"a@scales": None}, SchemaMismatch, "a@scales is missing"),
    "too many scales": ("int8", {"a@scales": f32(1, 1)}, SchemaMismatch, "shape"),
    "too few scales": ("int8", {"a@scales": f32()}, SchemaMismatch, "shape"),
    "half a scale": ("int8", {"a@scales": f16(1)}, SchemaMismatch, "it is F32"),
    "an infinite scale": ("int8", {"a@scales": f32(np.inf)}, NotFinite, "a@scales"),
    "a scale that is NaN": ("int8", {"a@scales": f32(np.nan)}, NotFinite, "a@scales"),
    "a negative scale": ("int8", {"a@scales": f32(-1)}, UnreadableWeights, "below zero"),
    "unsigned": ("int8", {"a": np.zeros(4, np.uint8)}, SchemaMismatch, "a is U8"),
    "no values": ("top_k", {"a@values": None}, SchemaMismatch, "a@values is missing"),
    "fewer values": ("top_k", {"a@values": f32(1)}, SchemaMismatch, "2 places and 1"),
    "NaN in values": ("top_k", {"a@values": f32(1, np.nan)}, NotFinite, "a@values"),
    "signed places": ("top_k", {"a@places": u32(0, 1).astype(np.int32)}, SchemaMismatch, "I32"),
    "places of two dimensions": (
        "top_k", {"a@places": u32(0, 1).reshape(1, 2)}, SchemaMismatch, "shape"
    ),
    "a place twice": ("top_k", {"a@places": u32(1, 1)}, UnreadableWeights, "ascending"),
    "places backwards": ("top_k", {"a@places": u32(3, 1)}, UnreadableWeights, "ascending"),
    "a place beyond": ("top_k", {"a@places": u32(0, 4)}, SchemaMismatch, "place 4"),
    "a place far beyond": (
        "top_k", {"a@places": u32(0, 2**32 - 1)}, SchemaMismatch, "has 4 numbers"
    ),
    "whole arrays": ("top_k", {"a": np.zeros(4, np.float32)}, SchemaMismatch, "a is not part of"),
}  # fmt: skip
GOOD: dict[PackingName, Arrays] = {
    "float16": {"a": np.zeros(4, np.float16)},
    "int8": {"a": np.zeros(4, np.int8), "a@scales": f32(1)},
    "top_k": {"a@places": u32(0, 3), "a@values": f32(1, 2)},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused(case: str) -> None:
    method, wrong, error, sentence = HOSTILE[case]
    base = {"a": np.zeros(4, np.float32), "bn/moving_mean": np.ones(1, np.float32)}
    good = GOOD[method] | {"bn/moving_mean": f32(2)}
    assert unpacked(body_of(good), method, base)["bn/moving_mean"].tolist() == [2]
    bad = {name: array for name, array in (good | wrong).items() if array is not None}
    with pytest.raises(error, match=sentence):
        unpacked(body_of(bad), method, base)


def test_places_are_looked_at_across_blocks() -> None:
    """Also those that a block ends or begins with."""
    count = 150_000
    base = {"a": np.zeros(count, np.float32)}
    places, values = np.arange(count, dtype=np.uint32), np.ones(count, np.float32)
    assert unpacked(body_of({"a@places": places, "a@values": values}), "top_k", base)["a"].all()
    for at in (65_536, 131_072, count - 1):
        wrong = places.copy()
        wrong[at] = wrong[at - 1]
        with pytest.raises(UnreadableWeights, match="ascending"):
            unpacked(body_of({"a@places": wrong, "a@values": values}), "top_k", base)


@pytest.mark.parametrize("method", METHODS)
def test_a_file_that_is_cut_short_is_refused(method: PackingName) -> None:
    base = {"a": normal(100)}
    body, _ = packed({"a": normal(100, seed=2)}, base, method)
    for length in range(0, len(body), 37):
        with pytest.raises(UnreadableWeights, match="whole safetensors file"):
            unpacked(body[:length], method, base)


def test_a_name_that_belongs_to_another_array_is_refused() -> None:
    """A version 0 that somebody has named so: nobody could tell its arrays from scales."""
    base = {"a": np.zeros(1, np.float32), "a@scales": np.zeros(1, np.float32)}
    with pytest.raises(SchemaMismatch, match="a@scales cannot be packed"):
        unpacked(body_of(GOOD["int8"]), "int8", base)
