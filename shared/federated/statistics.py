"""Mean, median, spread and a histogram of weights, read block by block.

Everything is exact but for the rounding of float64, and memory holds one block and a few
tables of counts, however large the network is.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.federated.weights import Array, StreamedWeights

#: Of equal width, from the smallest number to the largest.
HISTOGRAM_BINS = 40

_BLOCK_NUMBERS = 256 * 1024
#: Half of a number's 32 bits: what is counted in one pass.
_HALF_BITS = 16
_HALVES = 1 << _HALF_BITS
_SIGN, _NOT_SIGN = np.uint32(0x8000_0000), np.uint32(0x7FFF_FFFF)
_LARGEST = np.finfo(np.float32).max

#: Gives the same numbers each time it is called, as float32 blocks of one dimension.
_Blocks = Callable[[], Iterable[Array]]


@dataclass(frozen=True)
class Summary:
    """What one number of each kind says of many. All are None where there is no number.

    Attributes:
        norm: the square root of the sum of squares.
    """

    size: int
    mean: float | None = None
    median: float | None = None
    standard_deviation: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    norm: float | None = None

    @property
    def largest(self) -> float | None:
        """The largest number, whatever its sign."""
        if self.minimum is None or self.maximum is None:
            return None
        return max(abs(self.minimum), abs(self.maximum))


@dataclass(frozen=True)
class Layer:
    """One named array of the weights."""

    name: str
    shape: tuple[int, ...]
    summary: Summary


@dataclass(frozen=True)
class Histogram:
    """How many numbers lie between two edges; the last bin holds its upper edge too."""

    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class Statistics:
    """Each layer, in order of name, and all of them as one."""

    layers: list[Layer]
    all: Summary
    histogram: Histogram | None

    def as_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        layers = [
            {"name": layer.name, "shape": list(layer.shape), **asdict(layer.summary)}
            for layer in self.layers
        ]
        histogram = asdict(self.histogram) if self.histogram else None
        return {"layers": layers, "all": {**asdict(self.all), "histogram": histogram}}


class Difference(StreamedWeights):
    """What changed from one version to another, number by number, computed as it is read.

    A difference that float32 cannot hold counts as the largest number it can.

    Raises:
        SchemaMismatch: the two have not the same arrays.
    """

    def __init__(self, before: StreamedWeights, after: StreamedWeights) -> None:
        before.schema.check(after.schema)
        self.schema = after.schema
        self._before = before
        self._after = after

    def read(self, name: str, start: int, into: Array) -> None:
        """Compute a part of one array, see :class:`StreamedWeights`."""
        self._after.read(name, start, into)
        before: Array = np.empty(into.size, np.float32)
        self._before.read(name, start, before)
        with np.errstate(over="ignore"):
            np.subtract(into, before, out=into)
        np.clip(into, -_LARGEST, _LARGEST, out=into)


def statistics(weights: StreamedWeights) -> Statistics:
    """The statistics of finite weights; their histogram runs from minimum to maximum."""
    layers = [
        Layer(name, shape, _summary(partial(_blocks, weights, [name])))
        for name, shape in weights.schema.shapes
    ]
    over_all = _summary(partial(_blocks, weights, weights.schema.sizes))
    if over_all.minimum is None or over_all.maximum is None:
        return Statistics(layers, over_all, None)
    counted = histogram(weights, over_all.minimum, over_all.maximum)
    return Statistics(layers, over_all, counted)


def histogram(weights: StreamedWeights, minimum: float, maximum: float) -> Histogram:
    """Count the numbers from ``minimum`` to ``maximum`` in HISTOGRAM_BINS bins.

    Two versions are compared by histograms of the same range.
    """
    if minimum == maximum:  # as wide as the numbers are large, so that float64 tells edges apart
        width = max(abs(minimum), 1.0)
        minimum, maximum = minimum - width / 2, maximum + width / 2
    edges = np.linspace(minimum, maximum, HISTOGRAM_BINS + 1)
    counts = np.zeros(HISTOGRAM_BINS, np.int64)
    for block in _blocks(weights, weights.schema.sizes):
        counts += np.histogram(block.astype(np.float64), HISTOGRAM_BINS, (minimum, maximum))[0]
    return Histogram(edges.tolist(), counts.tolist())


def _blocks(weights: StreamedWeights, names: Iterable[str]) -> Iterator[Array]:
    """The numbers of some arrays; a block's place is used again for the next one."""
    place: Array = np.empty(_BLOCK_NUMBERS, np.float32)
    sizes = weights.schema.sizes
    for name in names:
        for start in range(0, sizes[name], place.size):
            block = place[: sizes[name] - start]
            weights.read(name, start, block)
            yield block


def _summary(blocks: _Blocks) -> Summary:
    size, mean, squares = 0, 0.0, 0.0
    minimum, maximum = math.inf, -math.inf
    counts = _no_counts()
    for block in blocks():
        exact = block.astype(np.float64)
        here = float(exact.mean())
        exact -= here
        # Sums of squared distances from two means, joined (Chan, Golub and LeVeque 1979).
        apart, before, size = here - mean, size, size + block.size
        mean += apart * block.size / size
        squares += float(exact @ exact) + apart * apart * before * block.size / size
        minimum, maximum = min(minimum, float(block.min())), max(maximum, float(block.max()))
        counts += _count(_upper(_in_order(block)))
    if not size:
        return Summary(0)
    return Summary(
        size=size,
        mean=mean,
        median=_median(blocks, size, counts),
        standard_deviation=math.sqrt(squares / size),
        minimum=minimum,
        maximum=maximum,
        norm=math.sqrt(squares + size * mean * mean),
    )


def _median(blocks: _Blocks, size: int, upper_counts: npt.NDArray[np.int64]) -> float:
    """The middle number, or the mean of the two middle ones.

    Args:
        upper_counts: how many numbers have which upper half, of their bits in order.
    """
    ends = np.cumsum(upper_counts)
    ranks = {(size - 1) // 2, size // 2}
    halves = {rank: int(np.searchsorted(ends, rank, side="right")) for rank in ranks}
    lower_counts = {upper: _no_counts() for upper in halves.values()}
    for block in blocks():
        keys = _in_order(block)
        for upper, counts in lower_counts.items():
            counts += _count(keys[_upper(keys) == upper] % np.uint32(_HALVES))
    middle = []
    for rank, upper in halves.items():
        rest = rank - (ends[upper] - upper_counts[upper])
        lower = int(np.searchsorted(np.cumsum(lower_counts[upper]), rest, side="right"))
        middle.append(_number(upper * _HALVES + lower))
    return sum(middle) / len(middle)


def _in_order(block: Array) -> npt.NDArray[np.uint32]:
    """The bits of numbers, changed so that they are in order as the numbers are.

    A positive number's sign bit is turned; of a negative one, every bit.
    """
    bits = block.view(np.uint32)
    negative = bits >> np.uint32(31)
    return bits ^ (negative * _NOT_SIGN | _SIGN)


def _number(key: int) -> float:
    """The number whose bits in order are ``key``."""
    bits = key ^ 0x8000_0000 if key >> 31 else key ^ 0xFFFF_FFFF
    return float(np.uint32(bits).view(np.float32)) + 0.0  # minus zero is zero


def _upper(keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    return keys >> np.uint32(_HALF_BITS)


def _count(halves: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    return np.bincount(halves, minlength=_HALVES)


def _no_counts() -> npt.NDArray[np.int64]:
    return np.zeros(_HALVES, np.int64)
