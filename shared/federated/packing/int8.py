"""int8: each number of a change in one byte, rounded at random so that the mean is right."""

from typing import Any

import numpy as np
import numpy.typing as npt

from shared.federated.names import MARK
from shared.federated.packing.packing import Arrays, Layout, PackedChange, Packing
from shared.federated.policies import CompressionSettings
from shared.federated.weights import (
    Array,
    ArraysFile,
    NotFinite,
    Schema,
    UnreadableWeights,
    Weights,
)

#: So many numbers, in C order, share a scale.
BUCKET_NUMBERS = 2048
#: A bucket's largest number becomes this.
_MOST = 127
_SCALES = f"{MARK}scales"
#: What is rounded at a time.
_PIECE_NUMBERS = 32 * BUCKET_NUMBERS
_CHECKED_AT_ONCE = 64 * 1024


class Int8(Packing):
    """Rounds to a whole multiple of a scale, -127 to 127, up or down at random (Alistarh et al.
    2017, QSGD, arXiv:1610.02132, with the largest magnitude of a bucket for its norm).

    A number between two multiples becomes the upper one with the probability that makes the mean
    right: the error of one update is below one scale, and the mean over many devices and rounds has
    less and less of it. A scale belongs to 2,048 numbers, so that large ones in one place cost
    nothing elsewhere.
    """

    name = "int8"

    def pack(self, change: Weights, settings: CompressionSettings, seed: int) -> Arrays:
        """See :meth:`Packing.pack`."""
        generator = np.random.Generator(np.random.PCG64(seed))
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name in sorted(change):
            numbers = np.asarray(change[name], order="C").reshape(-1)
            whole = np.empty(numbers.size, np.int8)
            scales = np.empty(_buckets(numbers.size), np.float32)
            for start in range(0, numbers.size, _PIECE_NUMBERS):
                piece = numbers[start : start + _PIECE_NUMBERS]
                first = start // BUCKET_NUMBERS
                of_piece = scales[first : first + _buckets(piece.size)]
                whole[start : start + piece.size], of_piece[:] = _rounded(piece, generator)
            arrays[name] = whole.reshape(change[name].shape)
            arrays[name + _SCALES] = scales
        return arrays

    def layout(self, schema: Schema) -> Layout:
        """An array of the same name and shape, I8; and ARRAY@scales, F32 (buckets,)."""
        arrays: Layout = {name: ("I8", shape) for name, shape in schema.shapes}
        scales: Layout = {
            name + _SCALES: ("F32", (_buckets(size),)) for name, size in schema.sizes.items()
        }
        return {**arrays, **scales}

    def opened(self, file: ArraysFile, schema: Schema) -> PackedChange:
        """See :meth:`Packing.opened`."""
        return _Scaled(file, schema)


def _buckets(size: int) -> int:
    return -(-size // BUCKET_NUMBERS)


def _rounded(
    numbers: Array, generator: np.random.Generator
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Whole numbers int8 (n,) and scales (buckets,), of numbers that begin with a bucket."""
    filled = np.zeros(_buckets(numbers.size) * BUCKET_NUMBERS, np.float64)
    filled[: numbers.size] = numbers
    buckets = filled.reshape(-1, BUCKET_NUMBERS)
    largest = np.abs(buckets).max(axis=1)
    scales = (largest / _MOST).astype(np.float32)
    # Not below: then the largest number would be beyond 127 scales.
    is_below = scales.astype(np.float64) * _MOST < largest
    scales[is_below] = np.nextafter(scales[is_below], np.float32(np.inf))
    levels = buckets / np.where(scales > 0, scales, 1)[:, np.newaxis]
    levels += generator.random(levels.shape)
    whole = np.clip(np.floor(levels), -_MOST, _MOST).astype(np.int8)
    return whole.reshape(-1)[: numbers.size], scales


class _Scaled(PackedChange):
    def __init__(self, file: ArraysFile, schema: Schema) -> None:
        self.schema = schema
        self._file = file

    def read(self, name: str, start: int, into: Array) -> None:
        if not into.size:
            return
        whole = np.empty(into.size, np.int8)
        self._file.read(name, start, whole)
        first = start // BUCKET_NUMBERS
        scales = np.empty(_buckets(start + into.size) - first, np.float32)
        self._file.read(name + _SCALES, first, scales)
        begin = start - first * BUCKET_NUMBERS
        of_each = np.repeat(scales, BUCKET_NUMBERS)[begin : begin + into.size]
        with np.errstate(over="ignore"):  # who reads it looks whether it is finite
            np.multiply(whole, of_each, out=into)

    def check(self) -> None:
        """What is left to check is the scales: of whole numbers each is as good as others."""
        place = np.empty(_CHECKED_AT_ONCE, np.float32)
        for name, size in self.schema.sizes.items():
            for start in range(0, _buckets(size), _CHECKED_AT_ONCE):
                scales = place[: _buckets(size) - start]
                self._file.read(name + _SCALES, start, scales)
                if not np.isfinite(scales).all():
                    raise NotFinite(f"{name + _SCALES} holds NaN or infinity.")
                if (scales < 0).any():
                    raise UnreadableWeights(f"{name + _SCALES} holds a scale below zero.")
