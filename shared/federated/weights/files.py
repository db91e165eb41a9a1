"""Weights as safetensors files: float32 arrays, read and written piece by piece."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from shared.federated.side_by_side import side_by_side
from shared.federated.weights.arrays import ArraysFile, Stored, open_arrays, write_arrays
from shared.federated.weights.schema import Array, Schema, SchemaMismatch, StreamedWeights, Weights

_DTYPE = "F32"

#: What one thread makes at a time when weights are written; 1 MiB.
_PIECE_NUMBERS = 256 * 1024


class WeightsFile(StreamedWeights):
    """The arrays of an open safetensors file, or some of them.

    Args:
        names: of those; None: of all.

    Raises:
        SchemaMismatch: one of them is not float32.
    """

    def __init__(self, file: ArraysFile, names: Collection[str] | None = None) -> None:
        stored = [
            (name, file.stored[name]) for name in sorted(file.stored if names is None else names)
        ]
        for name, array in stored:
            if array.dtype != _DTYPE:
                raise SchemaMismatch(f"{name} is {array.dtype}; weights are float32.")
        self.schema = Schema(tuple((name, array.shape) for name, array in stored))
        self.metadata = file.metadata
        self._file = file

    def read(self, name: str, start: int, into: Array) -> None:
        """Fill ``into``, see :class:`StreamedWeights`. Raises UnreadableWeights: cut short."""
        self._file.read(name, start, into)


@contextmanager
def open_weights(path: Path) -> Iterator[WeightsFile]:
    """Open a safetensors file of float32 arrays.

    Raises:
        UnreadableWeights: it is not safetensors, or truncated.
        SchemaMismatch: an array is not float32.
    """
    with open_arrays(path) as file:
        yield WeightsFile(file)


def read_weights(path: Path) -> dict[str, Array]:
    """All arrays of a file, in memory. Raises as :func:`open_weights`."""
    with open_weights(path) as opened:
        return dict(opened)


def write_weights(
    path: Path,
    weights: Weights,
    metadata: Mapping[str, str] | None = None,
    *,
    durable: bool = True,
) -> str:
    """Write weights as safetensors: under ``path`` whole or not at all.

    Equal weights with equal metadata give equal bytes, in every process. Of streamed
    weights memory holds a few pieces of 1 MiB.

    Args:
        durable: whether they are there after a power cut too.

    Returns:
        SHA-256 of the file's content, in hex.

    Raises:
        SchemaMismatch: an array is not float32, or has a name that cannot be.
    """
    stored = {name: Stored(_DTYPE, shape) for name, shape in Schema.of(weights).shapes}
    return write_arrays(path, stored, _pieces(weights), metadata or {}, durable=durable)


def _pieces(weights: Weights) -> Iterator[Array]:
    """All numbers, in order of name and each array in C order."""
    if not isinstance(weights, StreamedWeights):
        for name in sorted(weights):
            yield np.asarray(weights[name], order="C").reshape(-1)
        return

    def piece(name: str, start: int, size: int) -> Array:
        numbers: Array = np.empty(size, np.float32)
        weights.read(name, start, numbers)
        return numbers

    yield from side_by_side(piece, weights.schema.pieces(_PIECE_NUMBERS))
