"""Arithmetic on whole weights, done block by block as the result is read.

What rules are written with: each function gives weights that cost nothing until they are
read. Then memory holds one block of each source, however large the network is and however many
updates there are.
"""

import threading
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from shared.federated.aggregation.blocks import (
    BLOCK_NUMBERS,
    Blocks,
    Combined,
    weighted_mean,
)
from shared.federated.aggregation.state import Arrival
from shared.federated.weights import Array, StreamedWeights, Weights, streamed

_MOST = float(np.finfo(np.float32).max)

#: A block in float64 of each of some weights, to a block.
Function = Callable[..., npt.NDArray[np.float64]]


def elementwise(function: Function, *weights: Weights) -> StreamedWeights:
    """What a function makes of the numbers at one place of each of some weights.

    Args:
        function: of one float64 array (n,) for each of ``weights``, which it may change; gives
            (n,). Where blocks begin must not matter to it.
        weights: at least one; all of one schema.

    Returns:
        Weights of that schema; numbers beyond those of float32 become the largest ones.

    Raises:
        SchemaMismatch
    """
    return _Elementwise(function, [streamed(each) for each in weights])


def mean(weights: Sequence[Weights], shares: Sequence[float]) -> StreamedWeights:
    """The mean of weights, each counting by its share. Sums are float64, in the order given."""
    return Combined([*zip(shares, weights, strict=True)], weighted_mean)


def summed_change(arrivals: Sequence[Arrival], factors: Sequence[float]) -> StreamedWeights:
    """Σ factor · (update - base): what updates have changed, each since its own base.

    Sums are float64, in the order given; what did not change adds exactly nothing. A base that
    updates one after the other share is read once for them.
    """
    return _Remembered(_Sum(arrivals, factors))


def mean_change(arrivals: Sequence[Arrival], shares: Sequence[float]) -> StreamedWeights:
    """The mean of what updates have changed, each counting by its share."""
    total = sum(shares)
    return summed_change(arrivals, [share / total for share in shares])


def changed(
    weights: Weights, arrivals: Sequence[Arrival], factors: Sequence[float]
) -> StreamedWeights:
    """weights + Σ factor · (update - base), as one sum, see :func:`summed_change`."""
    return _Sum(arrivals, factors, weights)


def moved(weights: Weights, change: Weights, rate: float = 1.0) -> StreamedWeights:
    """weights + rate · change."""
    return elementwise(lambda numbers, changed: numbers + rate * changed, weights, change)


def within_float32(numbers: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """The same numbers, those that float32 does not have as the largest that it has."""
    within: npt.NDArray[np.floating] = np.clip(numbers, -_MOST, _MOST)
    return within


class _Elementwise(StreamedWeights):
    def __init__(self, function: Function, sources: Sequence[StreamedWeights]) -> None:
        self.schema = sources[0].schema
        for source in sources:
            self.schema.check(source.schema)
        self._function, self._sources = function, sources

    def read(self, name: str, start: int, into: Array) -> None:
        place: Array = np.empty(min(into.size, BLOCK_NUMBERS), np.float32)
        for first in range(0, into.size, BLOCK_NUMBERS):
            goal = into[first : first + BLOCK_NUMBERS]
            block, blocks = place[: goal.size], []
            for source in self._sources:
                source.read(name, start + first, block)
                blocks.append(block.astype(np.float64))
            goal[:] = within_float32(self._function(*blocks))


class _Sum(Combined):
    """What updates have changed, added up; to ``start``, where it is given.

    The order of sums is that of the updates, whichever bases they share: so it does not matter
    to any bit whether two bases of one content are one object.
    """

    def __init__(
        self, arrivals: Sequence[Arrival], factors: Sequence[float], start: Weights | None = None
    ) -> None:
        sources, self._is_base, base = [], [], None
        if start is not None:
            sources, self._is_base = [(1.0, start)], [False]
        for arrival, factor in zip(arrivals, factors, strict=True):
            if arrival.base is not base:
                base = arrival.base
                sources.append((1.0, base))
                self._is_base.append(True)
            sources.append((factor, arrival.update.weights))
            self._is_base.append(False)
        super().__init__(sources, self._summed)

    def _summed(self, blocks: Blocks) -> npt.NDArray[np.floating]:
        total = np.full(blocks.size, -0.0)  # what added to any number, -0 too, changes no bit
        change = np.empty(blocks.size, np.float64)
        base = np.zeros(blocks.size, np.float64)  # of ``start``, which comes before any base
        for is_base, (factor, block) in zip(self._is_base, blocks, strict=True):
            if is_base:
                np.copyto(base, block)
                continue
            # Subtracted before it is multiplied: what did not change adds exactly nothing.
            np.subtract(block, base, out=change)
            change *= factor
            total += change
        return within_float32(total)


class _Remembered(StreamedWeights):
    """Weights whose last block each thread remembers: two slots are often made of one block."""

    def __init__(self, weights: StreamedWeights) -> None:
        self.schema = weights.schema
        self._weights = weights
        self._last = threading.local()

    def read(self, name: str, start: int, into: Array) -> None:
        key = name, start, into.size
        if getattr(self._last, "key", None) != key:
            self._weights.read(name, start, into)
            self._last.key, self._last.block = key, into.copy()
        else:
            into[:] = self._last.block
