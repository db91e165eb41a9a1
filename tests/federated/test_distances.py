"""Inner products and distances of updates, against float64 with everything in memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.federated import side_by_side
from shared.federated.aggregation.distances import inner_products, squared_distances
from shared.federated.weights import Array, SchemaMismatch

_PIECE_NUMBERS = 256 * 1024


def points(rows: int, size: int, seed: int = 1, scale: float = 1.0) -> tuple[Array, Array]:
    """A centre far from 0, and points around it."""
    generator = np.random.default_rng(seed)
    centre = 10 * generator.standard_normal(size, np.float32)
    return centre, centre + np.float32(scale) * generator.standard_normal((rows, size), np.float32)


def plain(rows: Array, centre: Array) -> np.ndarray:
    moved = rows.astype(np.float64) - centre.astype(np.float64)
    result: np.ndarray = moved @ moved.T
    return result


def as_weights(rows: Array) -> list[dict[str, Array]]:
    """Each row as an array of two thirds and one of the rest."""
    cut = 2 * rows.shape[1] // 3
    return [{"a": row[:cut].reshape(-1, 1), "b": row[cut:]} for row in rows]


def test_by_hand() -> None:
    centre = {"a": np.array([1.0, 1.0], np.float32)}
    # Seen from (1, 1): (2, 0), (0, 3) and (-1, 1)
    sent = [{"a": np.array(each, np.float32)} for each in ([3, 1], [1, 4], [0, 2])]
    assert inner_products(sent, centre).tolist() == [[4, 0, -2], [0, 9, 3], [-2, 3, 2]]
    # 2² + 3², 3² + 1², 1² + 2²
    assert squared_distances(sent, centre).tolist() == [[0, 13, 10], [13, 0, 5], [10, 5, 0]]


@pytest.mark.parametrize(
    ("rows", "size"),
    [(1, 1), (2, 5), (3, 20_000), (3, 2 * _PIECE_NUMBERS + 17), (100, 2), (100, 20_000)],
)
def test_of_any_size(rows: int, size: int) -> None:
    centre, sent = points(rows, size)
    expected = plain(sent, centre)
    norms = np.sqrt(np.diagonal(expected))
    ours = inner_products(as_weights(sent), as_weights(centre[None])[0])
    assert np.abs((ours - expected) / np.outer(norms, norms)).max() < 3e-7
    assert (ours == ours.T).all()


def test_distances() -> None:
    centre, sent = points(10, 30)
    expected = np.square(sent[:, None].astype(np.float64) - sent[None]).sum(axis=2)
    ours = squared_distances(as_weights(sent), as_weights(centre[None])[0])
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


@given(exponents=st.lists(st.integers(-140, 99), min_size=1, max_size=6), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_of_any_magnitude(exponents: list[int], seed: int) -> None:
    """Squares of most of these are no numbers of float32."""
    generator = np.random.default_rng(seed)
    sent = np.ldexp(generator.standard_normal((len(exponents), 50)), np.array(exponents)[:, None])
    rows = sent.astype(np.float32)
    centre = np.zeros(50, np.float32)
    expected = plain(rows, centre)
    norms = np.sqrt(np.diagonal(expected))
    ours = inner_products(as_weights(rows), as_weights(centre[None])[0])
    assert np.isfinite(ours).all()
    assert np.abs((ours - expected) / np.outer(norms, norms)).max() < 3e-7


def test_an_update_that_changed_nothing_is_at_the_centre() -> None:
    centre, sent = points(3, 100)
    sent[1] = centre
    products = inner_products(as_weights(sent), as_weights(centre[None])[0])
    assert products[1].tolist() == [0.0, 0.0, 0.0]


def test_updates_that_are_far_away_blur_no_distance_of_the_others() -> None:
    centre, sent = points(4, 30)
    near = squared_distances(as_weights(sent), as_weights(centre[None])[0])
    wild = np.full((1, 30), 1e30, np.float32)
    together = squared_distances(as_weights(np.vstack([wild, sent])), as_weights(centre[None])[0])
    np.testing.assert_allclose(together[1:, 1:], near, rtol=1e-6)


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    centre, sent = points(5, 3 * _PIECE_NUMBERS)
    made = []
    for threads in (1, 2, 7):
        monkeypatch.setattr(side_by_side, "THREADS", threads)
        made.append(inner_products(as_weights(sent), as_weights(centre[None])[0]).tobytes())
    assert made[0] == made[1] == made[2]


def test_other_arrays_are_refused() -> None:
    centre, sent = points(2, 6)
    with pytest.raises(SchemaMismatch, match="a has shape"):
        inner_products(as_weights(sent), as_weights(centre[None, :5])[0])
    with pytest.raises(SchemaMismatch, match="a is missing"):
        inner_products([{"b": sent[0]}], {"a": centre})
