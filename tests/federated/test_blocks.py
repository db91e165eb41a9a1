"""Averaging block by block: the same numbers as all at once, in little memory."""

import tracemalloc
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.federated.aggregation.blocks import BLOCK_NUMBERS
from shared.federated.update import MOST_SAMPLES, Update
from shared.federated.weights import (
    Array,
    SchemaMismatch,
    UnreadableWeights,
    open_weights,
    read_weights,
    write_weights,
)
from tests.federated.arrivals import fedavg

#: What is written at a time.
PIECE_NUMBERS = 256 * 1024

_borders = st.sampled_from(
    [0, 1, 7, BLOCK_NUMBERS - 1, BLOCK_NUMBERS, BLOCK_NUMBERS + 1, 2 * BLOCK_NUMBERS + 3]
)
_shapes = st.one_of(
    st.just(()),
    st.tuples(_borders),
    st.tuples(st.just(3), _borders),
    st.tuples(_borders, st.just(1), st.just(2)),
)


def random(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    return {name: generator.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def at_once(updates: list[Update]) -> dict[str, Array]:
    """The average as the textbook has it: everything in memory, float64."""
    total = sum(update.num_samples for update in updates)
    return {
        name: (
            np.sum([u.weights[name].astype(np.float64) * u.num_samples for u in updates], axis=0)
            / total
        ).astype(np.float32)
        for name in updates[0].weights
    }


@given(
    shapes=st.dictionaries(st.sampled_from("abcd"), _shapes, min_size=1),
    counts=st.lists(st.integers(1, MOST_SAMPLES), min_size=1, max_size=4),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_blocks_change_no_bit(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], counts: list[int]
) -> None:
    updates = [
        Update(f"device{index}", count, random(shapes, index)) for index, count in enumerate(counts)
    ]
    expected = at_once(updates)
    average = fedavg(updates)
    assert average.keys() == expected.keys()
    for update in updates:
        write_weights(tmp_path / update.device, update.weights)
    with ExitStack() as stack:
        from_files = [
            Update(u.device, u.num_samples, stack.enter_context(open_weights(tmp_path / u.device)))
            for u in updates
        ]
        sha256 = write_weights(tmp_path / "average", fedavg(from_files[::-1]))
    assert sha256 == write_weights(tmp_path / "again", expected)
    written = read_weights(tmp_path / "average")
    for name, array in expected.items():
        for ours in (average[name], written[name]):
            assert ours.dtype == np.float32
            assert ours.shape == array.shape
            np.testing.assert_array_equal(ours, array)


@pytest.mark.parametrize("size", [PIECE_NUMBERS, PIECE_NUMBERS + 1, 5 * PIECE_NUMBERS - 1])
def test_an_array_of_several_pieces(tmp_path: Path, size: int) -> None:
    updates = [Update(f"device{n}", n, random({"a": (size,), "b": (3,)}, n)) for n in (1, 2, 3)]
    sha256 = write_weights(tmp_path / "average", fedavg(updates))
    assert sha256 == write_weights(tmp_path / "expected", at_once(updates))


def test_arrays_in_any_memory_order() -> None:
    array = random({"a": (300, 200)}, 1)["a"]
    turned = np.asfortranarray(array)
    average = fedavg([Update("device1", 1, {"a": array}), Update("device2", 1, {"a": turned})])
    np.testing.assert_array_equal(average["a"], array)


def test_minus_zero_stays() -> None:
    weights = {"a": np.array([-0.0, 0.0], np.float32)}
    average = fedavg([Update(name, 3, weights) for name in ("device1", "device2")])
    assert np.signbit(average["a"]).tolist() == [True, False]


def test_updates_of_two_schemas_are_refused() -> None:
    updates = [Update("device1", 1, random({"a": (3,)}, 1)), Update("device2", 1, {})]
    with pytest.raises(SchemaMismatch, match="a is missing"):
        fedavg(updates)


def test_memory_holds_blocks_and_no_model(tmp_path: Path) -> None:
    """Peak memory of averaging files into a file: far below one model, for 2 and for 20."""
    model = random({"kernel": (8 * 1024 * 1024,)}, 0)  # one array of 32 MiB
    write_weights(tmp_path / "update", model)
    peaks = []
    for number in (2, 20):
        tracemalloc.start()
        with open_weights(tmp_path / "update") as opened:
            opened.check_finite()
            updates = [Update(f"device{n:02}", 1, opened) for n in range(number)]
            write_weights(tmp_path / "average", fedavg(updates))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < model["kernel"].nbytes / 2
    assert read_weights(tmp_path / "average")["kernel"].tobytes() == model["kernel"].tobytes()


def test_a_file_cut_short_after_it_was_checked_is_an_error(tmp_path: Path) -> None:
    """Memory-mapped it would be a SIGBUS, which kills the process."""
    file = tmp_path / "update"
    write_weights(file, random({"a": (3 * PIECE_NUMBERS,)}, 1))
    with open_weights(file) as opened:
        with file.open("r+b") as content:
            content.truncate(PIECE_NUMBERS)
        with pytest.raises(UnreadableWeights, match="update was cut short"):
            write_weights(tmp_path / "average", fedavg([Update("device1", 1, opened)]))
    assert [path.name for path in tmp_path.iterdir()] == ["update"]
