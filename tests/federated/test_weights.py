"""The weights format: what goes in comes out, and nothing else is taken."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from shared.federated.weights import (
    NotFinite,
    Schema,
    SchemaMismatch,
    UnreadableWeights,
    open_weights,
    read_weights,
    write_weights,
)

names = st.text(st.characters(categories=["L", "N"], include_characters="/_."), min_size=1)
arrays = numpy_strategies.arrays(
    np.float32,
    numpy_strategies.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    elements=st.floats(width=32),
)
any_weights = st.dictionaries(names.filter("__metadata__".__ne__), arrays, max_size=5)


@given(weights=any_weights, note=st.text(max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_is_read(tmp_path: Path, weights: dict, note: str) -> None:
    file = tmp_path / "weights.safetensors"
    write_weights(file, weights, {"note": note})
    back = read_weights(file)
    assert back.keys() == weights.keys()
    for name, array in weights.items():
        assert back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes()
    with open_weights(file) as opened:
        assert opened.metadata == {"note": note}
        assert opened.schema == Schema.of(weights)


@given(cut=st.integers(min_value=0, max_value=10_000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_truncated_file_is_refused(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "weights.safetensors"
    write_weights(file, {"a": np.arange(100, dtype=np.float32)})
    content = file.read_bytes()
    file.write_bytes(content[: cut % len(content)])
    with pytest.raises(UnreadableWeights, match="whole safetensors file"), open_weights(file):
        pass


@given(content=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_noise_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "noise"
    file.write_bytes(content)
    with pytest.raises((UnreadableWeights, SchemaMismatch)), open_weights(file):
        pass


def test_a_header_that_lies_about_offsets_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 999]}}).encode()
    file = tmp_path / "lies"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(UnreadableWeights), open_weights(file):
        pass


def hostile(header: bytes, size: int = 16, length: int | None = None) -> bytes:
    """A file of that header and so many bytes of arrays; its length may be a lie."""
    told = len(header) if length is None else length
    return told.to_bytes(8, "little") + header + bytes(size)


def place(begin: int, end: int, *shape: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


HOSTILE = {
    "two arrays in one place": hostile(
        json.dumps({"a": place(0, 16, 4), "b": place(0, 16, 4)}).encode()
    ),
    "arrays that overlap": hostile(
        json.dumps({"a": place(0, 12, 3), "b": place(8, 16, 2)}).encode()
    ),
    "a hole": hostile(json.dumps({"a": place(0, 4, 1), "b": place(8, 16, 2)}).encode()),
    "beyond the end": hostile(json.dumps({"a": place(16, 32, 4)}).encode()),
    "backwards": hostile(json.dumps({"a": place(16, 0, 4)}).encode()),
    "negative": hostile(json.dumps({"a": place(-16, 0, 4)}).encode()),
    "more numbers than bytes": hostile(json.dumps({"a": place(0, 16, 2**62)}).encode()),
    "a product that overflows": hostile(json.dumps({"a": place(0, 0, 2**32, 2**32)}).encode(), 0),
    "bytes after the last array": hostile(json.dumps({"a": place(0, 12, 3)}).encode()),
    "a header of 8 EB": hostile(b"{}", length=2**63),
    "a header longer than the file": hostile(b"{}", length=1000),
    "a header that is a list": hostile(b"[]"),
    "no offsets": hostile(b'{"a": {"dtype": "F32", "shape": [4]}}'),
    "nested without end": hostile(b"[" * 100_000),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_header_is_refused(tmp_path: Path, case: str) -> None:
    file = tmp_path / "hostile"
    file.write_bytes(HOSTILE[case])
    with pytest.raises(UnreadableWeights, match="whole safetensors file"), open_weights(file):
        pass


def test_of_a_name_given_twice_the_last_counts(tmp_path: Path) -> None:
    """The library and we read the header each for itself: both must mean the same bytes."""
    short, whole = (json.dumps(place(0, 4 * size, size)) for size in (2, 4))
    file = tmp_path / "twice"
    file.write_bytes(hostile(f'{{"a": {short}, "a": {whole}}}'.encode()))
    with open_weights(file) as opened:
        assert opened["a"].nbytes == 16
    file.write_bytes(hostile(f'{{"a": {whole}, "a": {short}}}'.encode()))
    with pytest.raises(UnreadableWeights, match="whole safetensors file"), open_weights(file):
        pass


def test_an_array_cannot_have_the_name_of_the_metadata(tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch, match="__metadata__"):
        write_weights(tmp_path / "w", {"__metadata__": np.zeros(1, np.float32)})


def test_half_precision_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "half"
    file.write_bytes(hostile(json.dumps({"a": place(0, 16, 8, dtype="F16")}).encode()))
    with pytest.raises(SchemaMismatch, match="a is F16"), open_weights(file):
        pass


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pkl"
    file.write_bytes(b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system")
    with pytest.raises(UnreadableWeights), open_weights(file):
        pass


def test_other_dtypes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch, match="a is float64"):
        write_weights(tmp_path / "w", {"a": np.zeros(3)})  # type: ignore[dict-item]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_found(tmp_path: Path, bad: float) -> None:
    file = tmp_path / "weights.safetensors"
    array = np.zeros((2, 3), np.float32)
    array[1, 2] = bad
    write_weights(file, {"fine": np.zeros(1, np.float32), "head/kernel": array})
    with open_weights(file) as opened, pytest.raises(NotFinite, match="head/kernel"):
        opened.check_finite()


def test_schema_names_the_first_difference() -> None:
    ours = Schema.of({"a": np.zeros((2, 3), np.float32), "b": np.zeros(1, np.float32)})
    with pytest.raises(SchemaMismatch, match="b is missing"):
        ours.check(Schema.of({"a": np.zeros((2, 3), np.float32)}))
    with pytest.raises(SchemaMismatch, match=r"a has shape \(3, 2\); expected \(2, 3\)"):
        ours.check(Schema.of({"a": np.zeros((3, 2), np.float32), "b": np.zeros(1, np.float32)}))
    with pytest.raises(SchemaMismatch, match="c is not part"):
        ours.check(
            Schema.of(
                {name: np.zeros((2, 3), np.float32) for name in "ac"}
                | {"b": np.zeros(1, np.float32)}
            )
        )


def test_fingerprint_tells_backbones_and_schemas_apart() -> None:
    schema = Schema.of({"a": np.zeros((2, 3), np.float32)})
    other = Schema.of({"a": np.zeros((3, 2), np.float32)})
    told = {schema.fingerprint("x"), schema.fingerprint("y"), other.fingerprint("x")}
    assert len(told) == 3
    assert schema.fingerprint("x") == Schema.of({"a": np.ones((2, 3), np.float32)}).fingerprint("x")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    write_weights(file, {"a": np.ones(2, np.float32)})
    with pytest.raises(SchemaMismatch):
        write_weights(file, {"a": np.ones(2)})  # type: ignore[dict-item]
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]
    assert read_weights(file)["a"].tolist() == [1, 1]


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    metadata = {name: name for name in ("task", "version", "fingerprint", "backbone", "device")}
    weights = {"é": np.ones((2, 3), np.float32), "a": np.zeros(5, np.float32)}
    hashes = {
        write_weights(tmp_path / "file", weights, dict(sorted(metadata.items(), reverse=turned)))
        for turned in [True, False] * 10
    }
    assert len(hashes) == 1
    with open_weights(tmp_path / "file") as opened:
        assert opened.metadata == metadata
        assert opened["é"].tolist() == np.ones((2, 3)).tolist()


def test_a_file_that_is_closed_gives_no_numbers(tmp_path: Path) -> None:
    """Not those of another file that has its descriptor meanwhile."""
    for name in ("one", "other"):
        write_weights(tmp_path / name, {"kernel": np.ones(3, np.float32)})
    with open_weights(tmp_path / "one") as weights:
        assert "kernel" in weights
        assert "bias" not in weights
    with (tmp_path / "other").open("rb"), pytest.raises(ValueError, match="closed file"):
        weights["kernel"]
