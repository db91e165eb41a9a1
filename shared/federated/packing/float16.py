"""float16: each number of a change in two bytes."""

import numpy as np

from shared.federated.packing.packing import Arrays, Layout, PackedChange, Packing
from shared.federated.policies import CompressionSettings
from shared.federated.weights import Array, ArraysFile, NotFinite, Schema, Weights

_MOST = float(np.finfo(np.float16).max)
_BLOCK_NUMBERS = 64 * 1024


class Float16(Packing):
    """Rounds to the nearest number of half precision.

    A number is off by a 2048th of it at most; one below 0.00006 by 0.00000003, so that smaller ones
    may be lost. Those beyond 65,504 become that.
    """

    name = "float16"

    def pack(self, change: Weights, settings: CompressionSettings, seed: int) -> Arrays:
        """See :meth:`Packing.pack`. Nothing is left to chance."""
        return {
            name: np.clip(array, -_MOST, _MOST).astype(np.float16) for name, array in change.items()
        }

    def layout(self, schema: Schema) -> Layout:
        """An array of the same name and shape, F16."""
        return {name: ("F16", shape) for name, shape in schema.shapes}

    def opened(self, file: ArraysFile, schema: Schema) -> PackedChange:
        """See :meth:`Packing.opened`."""
        return _Halves(file, schema)


class _Halves(PackedChange):
    def __init__(self, file: ArraysFile, schema: Schema) -> None:
        self.schema = schema
        self._file = file

    def read(self, name: str, start: int, into: Array) -> None:
        halves = np.empty(into.size, np.float16)
        self._file.read(name, start, halves)
        into[:] = halves

    def check(self) -> None:
        halves = np.empty(_BLOCK_NUMBERS, np.float16)
        for name, size in self.schema.sizes.items():
            for start in range(0, size, _BLOCK_NUMBERS):
                block = halves[: size - start]
                self._file.read(name, start, block)
                if not np.isfinite(block).all():
                    raise NotFinite(f"{name}, packed as float16, holds NaN or infinity.")
