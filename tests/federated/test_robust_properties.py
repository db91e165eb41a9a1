"""What holds of every robust rule: order, equal updates, blocks, memory, and what outliers do."""

import random
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.federated import side_by_side
from shared.federated.aggregation import STRATEGIES, Arrival, ServerState
from shared.federated.aggregation.blocks import BLOCK_NUMBERS
from shared.federated.update import Update
from shared.federated.weights import (
    Array,
    SchemaMismatch,
    Weights,
    open_weights,
    read_weights,
    streamed,
    write_weights,
)
from tests.federated.arrivals import arrays, came, state
from tests.federated.robust_reference import RULES

ROBUST = [name for name, strategy in STRATEGIES.items() if strategy.kind == "robust"]
#: What is written at a time.
_PIECE_NUMBERS = 256 * 1024
_LARGE = float(np.float32(1e30))
_names = st.sampled_from(ROBUST)


def combined(name: str, base: Weights, sent: Sequence[Weights], **parameters: int) -> Weights:
    """What a rule makes of updates that started from the global model."""
    arrivals = [
        Arrival(Update(f"device{number:03}", 10, weights), base)
        for number, weights in enumerate(sent)
    ]
    strategy = STRATEGIES[name].model_validate(parameters)
    return strategy.next(ServerState(base), arrivals, len(arrivals)).weights


def around(
    base: Array, count: int, seed: int = 1, scale: float = 0.1
) -> Iterator[dict[str, Array]]:
    """Updates that each moved by other random numbers."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        change = np.float32(scale) * generator.standard_normal(base.shape, np.float32)
        yield {"a": base + change}


@given(_names, st.lists(arrays, min_size=1, max_size=6), arrays, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_order_of_arrival_changes_no_bit(
    name: str, sent: list[Array], base: Array, shuffle: random.Random
) -> None:
    arrivals = [
        came(each, device=f"device{n}", base=base, weight=1 / (1 + n))
        for n, each in enumerate(sent)
    ]
    strategy = STRATEGIES[name]()
    one = strategy.next(state(*base), arrivals, len(sent)).weights["a"]
    shuffle.shuffle(arrivals)
    other = strategy.next(state(*base), arrivals, len(sent)).weights["a"]
    assert one.tobytes() == other.tobytes()


@given(_names, arrays, arrays, st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_equal_updates_give_exactly_themselves(
    name: str, numbers: Array, base: Array, count: int
) -> None:
    """One update, too."""
    made = combined(name, {"a": base}, [{"a": numbers}] * count)
    np.testing.assert_array_equal(made["a"], numbers)


@given(_names, st.lists(arrays, min_size=1, max_size=9), arrays)
@settings(max_examples=200, deadline=None)
def test_numbers_stay_between_those_of_updates_and_base(
    name: str, sent: list[Array], base: Array
) -> None:
    """So they stay finite, up to numbers of 1e30."""
    made = combined(name, {"a": base}, [{"a": each} for each in sent])["a"]
    stacked = np.stack([*sent, base])
    assert np.isfinite(made).all()
    assert (made >= stacked.min(axis=0)).all()
    assert (made <= stacked.max(axis=0)).all()


@given(
    _names,
    st.integers(1, 12),
    st.integers(0, 10_000),
    st.sampled_from([1e-20, 1e-3, 1.0, 1e3, 1e15]),
)
@settings(max_examples=200, deadline=None)
def test_it_is_what_a_textbook_says(name: str, count: int, seed: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    size = 20
    base = generator.standard_normal(size).astype(np.float32)
    if scale < 1:
        base *= np.float32(0)
    rows = base + np.float32(scale) * generator.standard_normal((count, size), np.float32)
    weights = 1 / (1 + generator.integers(0, 3, count))
    arrivals = [
        came(row, device=f"device{number:02}", base=base, weight=float(weights[number]))
        for number, row in enumerate(rows)
    ]
    smoothing = {"smoothing": 1e-6} if name == "geometric_median" else {}
    strategy = STRATEGIES[name].model_validate(smoothing)
    ours = strategy.next(state(*base), arrivals, count).weights["a"]
    theirs = RULES[name](rows.astype(np.float64), weights, base.astype(np.float64))
    # The geometric median settles slowly where it is near to an update.
    within = 1e-3 if name == "geometric_median" else 1e-6
    assert np.abs(ours - theirs).max() <= within * np.abs(rows).max()


@pytest.mark.parametrize("name", ROBUST)
@pytest.mark.parametrize("attackers", [1, 2])
@pytest.mark.parametrize("far", [1e3, _LARGE])
def test_outliers_hardly_move_it(name: str, attackers: int, far: float) -> None:
    """The first devices by name are bad, and agree."""
    base = np.zeros(500, np.float32)
    good = list(around(base, 11 - attackers))
    bad = [{"a": np.full(500, far, np.float32)}] * attackers
    made = combined(name, {"a": base}, [*bad, *good])["a"]
    centre = np.mean([each["a"] for each in good], axis=0, dtype=np.float64)
    usual = np.median([np.linalg.norm(each["a"] - centre) for each in good])
    assert np.linalg.norm(made - centre) < 1.1 * usual
    averaged = combined("fedavg", {"a": base}, [*bad, *good])["a"]
    assert np.linalg.norm(averaged.astype(np.float64) - centre) > 100 * usual


def test_what_hides_from_krum_does_not_hide_from_bulyan() -> None:
    """Updates that are near to all others, but far off in one number."""
    base = np.zeros(10_000, np.float32)
    good = list(around(base, 9))
    bad = [{"a": np.mean([each["a"] for each in good], axis=0)} for _ in range(2)]
    for each in bad:
        each["a"][7] = 5.0
    assert combined("krum", {"a": base}, [*bad, *good], byzantine=2)["a"][7] == 5.0
    assert abs(combined("bulyan", {"a": base}, [*bad, *good], byzantine=2)["a"][7]) < 0.3


_borders = st.sampled_from(
    [0, 1, 15, 16, 17, 511, 512, 513, 1025, BLOCK_NUMBERS - 1, BLOCK_NUMBERS, BLOCK_NUMBERS + 1]
)


@given(
    name=_names,
    shapes=st.dictionaries(
        st.sampled_from("abc"),
        st.one_of(st.just(()), st.tuples(_borders), st.tuples(st.just(3), _borders)),
        min_size=1,
    ),
    count=st.sampled_from([1, 2, 5, 40]),
    parts=st.lists(st.integers(1, 40_000), min_size=1, max_size=5),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_blocks_change_no_bit(
    tmp_path: Path, name: str, shapes: dict[str, tuple[int, ...]], count: int, parts: list[int]
) -> None:
    """Read whole, in parts of any length, and written to a file from files."""
    generator = np.random.default_rng(count)
    base, *sent = [
        {each: generator.standard_normal(shape, np.float32) for each, shape in shapes.items()}
        for _ in range(1 + count)
    ]
    made = combined(name, base, sent)
    for each, shape in shapes.items():
        assert made[each].shape == shape
        in_parts = np.empty(made[each].size, np.float32)
        start, turn = 0, 0
        while start < in_parts.size:
            part = in_parts[start : start + parts[turn % len(parts)]]
            streamed(made).read(each, start, part)
            start, turn = start + part.size, turn + 1
        assert in_parts.tobytes() == made[each].tobytes()
    for number, weights in enumerate(sent):
        write_weights(tmp_path / str(number), weights)
    with ExitStack() as stack:
        opened = [stack.enter_context(open_weights(tmp_path / str(n))) for n in range(count)]
        sha256 = write_weights(tmp_path / "from files", combined(name, base, opened))
    assert sha256 == write_weights(tmp_path / "in memory", dict(made))


@pytest.mark.parametrize("name", ROBUST)
def test_the_number_of_threads_changes_no_bit(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = np.zeros(3 * _PIECE_NUMBERS + 5, np.float32)
    sent = list(around(base, 5))
    made = []
    for threads in (1, 2, 7):
        monkeypatch.setattr(side_by_side, "THREADS", threads)
        made.append(write_weights(tmp_path / "made", combined(name, {"a": base}, sent)))
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize("name", ROBUST)
def test_memory_holds_tables_and_no_model(name: str, tmp_path: Path) -> None:
    """Peak memory of combining files into a file: below one model, for 3 and for 20."""
    base = np.zeros(8 * 1024 * 1024, np.float32)  # 32 MiB
    for number, weights in enumerate(around(base, 3)):
        write_weights(tmp_path / str(number), weights)
    write_weights(tmp_path / "base", {"a": base})
    for count in (3, 20):
        tracemalloc.start()
        with ExitStack() as stack:
            start = stack.enter_context(open_weights(tmp_path / "base"))
            opened = [stack.enter_context(open_weights(tmp_path / str(n))) for n in range(3)]
            sent = [opened[number % 3] for number in range(count)]
            write_weights(tmp_path / "made", combined(name, start, sent))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < base.nbytes
        assert read_weights(tmp_path / "made")["a"].shape == base.shape


@pytest.mark.parametrize("name", ROBUST)
def test_updates_are_left_as_they_are(name: str) -> None:
    base = np.zeros(600, np.float32)
    sent = list(around(base, 5))
    before = [each["a"].copy() for each in sent]
    assert dict(combined(name, {"a": base}, sent))["a"].shape == (600,)
    for each, copy in zip(sent, before, strict=True):
        np.testing.assert_array_equal(each["a"], copy)
    np.testing.assert_array_equal(base, np.zeros(600))


@pytest.mark.parametrize("name", ROBUST)
def test_updates_of_another_schema_are_refused(name: str) -> None:
    base = np.zeros(6, np.float32)
    with pytest.raises(SchemaMismatch, match="a has shape"):
        combined(name, {"a": base}, [{"a": base}, {"a": base[:3]}])
