"""Partitions: each sample is one device's, equal seeds split alike, alpha does what it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.datasets.partitions import Partition, split_by_dirichlet, split_evenly

LABELS = np.repeat(np.arange(10), 100)


def whole(partition: Partition) -> list[int]:
    return sorted(int(index) for part in partition for index in part)


@given(st.integers(1, 200), st.integers(1, 20), st.integers(0, 2**31))
@settings(deadline=None)
def test_equal_parts_of_all(count: int, devices: int, seed: int) -> None:
    if devices > count:
        with pytest.raises(ValueError, match="cannot be split"):
            split_evenly(np.zeros(count, np.int64), devices, seed)
        return
    parts = split_evenly(np.zeros(count, np.int64), devices, seed)
    assert whole(parts) == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.sampled_from([0.1, 0.5, 1.0, 100.0]), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_each_sample_is_one_devices(alpha: float, seed: int) -> None:
    parts = split_by_dirichlet(LABELS, 10, alpha, seed)
    assert whole(parts) == list(range(len(LABELS)))
    assert min(map(len, parts)) >= 10
    again = split_by_dirichlet(LABELS, 10, alpha, seed)
    assert all(np.array_equal(one, other) for one, other in zip(parts, again, strict=True))


def test_a_small_alpha_gives_few_classes() -> None:
    def classes(alpha: float) -> float:
        """How many classes make nine tenths of a device's samples, on average."""
        found = []
        for seed in range(10):
            for part in split_by_dirichlet(LABELS, 10, alpha, seed):
                counts = np.sort(np.bincount(LABELS[part], minlength=10))[::-1]
                found.append(1 + int(np.argmax(np.cumsum(counts) >= 0.9 * counts.sum())))
        return float(np.mean(found))

    assert classes(0.1) < 4 < 5 < classes(1.0) < 9 <= classes(100.0)


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(ValueError, match=r"none of 1000 draws gave each of 10 devices 200"):
        split_by_dirichlet(LABELS, 10, 0.1, 1, least=200)
