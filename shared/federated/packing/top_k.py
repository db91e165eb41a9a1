"""top_k: the largest numbers of a change alone; the others wait until they have become large."""

from bisect import bisect_left
from collections.abc import Sequence
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
    SchemaMismatch,
    UnreadableWeights,
    Weights,
    slot_of,
)

_PLACES, _VALUES = f"{MARK}places", f"{MARK}values"
_BLOCK_NUMBERS = 64 * 1024


class TopK(Packing):
    """Sends the numbers of largest magnitude, and keeps what it does not send for the next time
    (Stich et al. 2018, arXiv:1809.07599; Karimireddy et al. 2019, arXiv:1901.09847).

    So nothing is lost: all that was sent and what is kept add up to all changes there were. Of the
    weights together, and of each slot together, a share of ``fraction`` is sent, one number at
    least; zeros never are. Of equal ones the first are taken, in order of name and then C order.
    """

    name = "top_k"
    owes = True

    def pack(self, change: Weights, settings: CompressionSettings, seed: int) -> Arrays:
        """See :meth:`Packing.pack`. Nothing is left to chance."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for slot in sorted({slot_of(name) for name in change}):
            names = [name for name in sorted(change) if slot_of(name) == slot]
            chosen = _largest([change[name] for name in names], settings.fraction)
            for name, places in zip(names, chosen, strict=True):
                numbers = np.asarray(change[name], np.float32, order="C").reshape(-1)
                arrays[name + _PLACES] = places.astype(np.uint32)
                arrays[name + _VALUES] = numbers[places]
        return arrays

    def layout(self, schema: Schema) -> Layout:
        """ARRAY@places, U32 (n,), in C order and ascending; and ARRAY@values, F32 (n,)."""
        return {
            name + end: (dtype, (None,))
            for name, _ in schema.shapes
            for end, dtype in ((_PLACES, "U32"), (_VALUES, "F32"))
        }

    def opened(self, file: ArraysFile, schema: Schema) -> PackedChange:
        """See :meth:`Packing.opened`."""
        return _Sparse(file, schema)


def _largest(arrays: Sequence[Array], fraction: float) -> list[npt.NDArray[np.int64]]:
    """Where the numbers of largest magnitude of all arrays are: for each its places, ascending."""
    magnitudes = np.concatenate([np.abs(array).reshape(-1) for array in arrays])
    ends = np.cumsum([array.size for array in arrays])
    chosen = np.empty(0, np.int64)
    if magnitudes.size:
        count = max(1, round(fraction * magnitudes.size))
        least = np.partition(magnitudes, -count)[-count]
        larger = np.flatnonzero(magnitudes > least)
        equal = np.flatnonzero((magnitudes == least) & (magnitudes > 0))
        chosen = np.sort(np.concatenate([larger, equal[: count - larger.size]]))
    of_each = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
    return [
        places - (end - array.size)
        for places, end, array in zip(of_each, ends, arrays, strict=True)
    ]


class _Sparse(PackedChange):
    def __init__(self, file: ArraysFile, schema: Schema) -> None:
        self.schema = schema
        self._file = file
        self._counts = {name: file.stored[name + _PLACES].size for name, _ in schema.shapes}
        for name, count in self._counts.items():
            values = file.stored[name + _VALUES].size
            if values != count:
                raise SchemaMismatch(f"{name} has {count} places and {values} values.")

    def read(self, name: str, start: int, into: Array) -> None:
        into[:] = 0
        told = _Places(self._file, name, self._counts[name])
        first = bisect_left(told, start)
        count = bisect_left(told, start + into.size, lo=first) - first
        places, values = np.empty(count, np.uint32), np.empty(count, np.float32)
        self._file.read(name + _PLACES, first, places)
        self._file.read(name + _VALUES, first, values)
        into[places.astype(np.int64) - start] = values

    def check(self) -> None:
        sizes = self.schema.sizes
        for name, count in self._counts.items():
            last = -1
            for start in range(0, count, _BLOCK_NUMBERS):
                number = min(_BLOCK_NUMBERS, count - start)
                places, values = np.empty(number, np.uint32), np.empty(number, np.float32)
                self._file.read(name + _PLACES, start, places)
                self._file.read(name + _VALUES, start, values)
                last = _check_places(name, places, last, sizes[name])
                if not np.isfinite(values).all():
                    raise NotFinite(f"{name + _VALUES} holds NaN or infinity.")


def _check_places(name: str, places: npt.NDArray[np.uint32], last: int, size: int) -> int:
    """The last of some places, which have to come after ``last`` and lie within the array."""
    if places[0] <= last or (places[1:] <= places[:-1]).any():
        raise UnreadableWeights(f"{name + _PLACES} is not in ascending order.")
    if places[-1] >= size:
        raise SchemaMismatch(
            f"{name + _PLACES} names place {places[-1]}, and {name} has {size} numbers."
        )
    return int(places[-1])


class _Places:
    """The places of one array, read one at a time: so memory holds none of them."""

    def __init__(self, file: ArraysFile, name: str, count: int) -> None:
        self._file, self._name, self._count = file, name + _PLACES, count
        self._one = np.empty(1, np.uint32)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> int:
        self._file.read(self._name, index, self._one)
        return int(self._one[0])
