"""Safetensors files: checked when they are opened, read and written piece by piece.

Why not memory-mapped: the pages of a mapped file count as the process's memory, and giving
them back after each block costs a page fault for each 4 kB when the next file is mapped.
Reading a block from the page cache into one that is used again costs a copy of what fits in
the processor's cache: half the time (``benchmarks/aggregation_speed.py`` measures both), no
page that stays, and a file that somebody cuts short is an error instead of a SIGBUS.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from shared.errors import FedbellError
from shared.federated.side_by_side import side_by_side
from shared.federated.weights.durable import EarlyStoring, open_durably
from shared.federated.weights.schema import Array, Schema, SchemaMismatch, StreamedWeights, Weights

_DTYPE = "F32"
_NUMBER_BYTES = 4
_METADATA = "__metadata__"

#: A safetensors file starts with the length of its JSON header, a little-endian number.
_LENGTH_BYTES = 8

#: A header this long describes thousands of arrays; reading a longer one costs memory.
MOST_HEADER_BYTES = 1024 * 1024

#: What one thread makes at a time when weights are written; 1 MiB.
_PIECE_NUMBERS = 256 * 1024


class UnreadableWeights(FedbellError):
    """Not a safetensors file, or a truncated one."""

    status = 422
    title = "The weights cannot be read"


class WeightsFile(StreamedWeights):
    """A safetensors file, opened: schema and metadata at once, numbers as they are asked for.

    Use :func:`open_weights`.

    Args:
        path: for messages.
        file: open for reading.
        places: by name, where the array's bytes begin in the file.
    """

    def __init__(
        self,
        path: Path,
        file: FileIO,
        schema: Schema,
        places: Mapping[str, int],
        metadata: Mapping[str, str],
    ) -> None:
        self.schema = schema
        self.metadata = dict(metadata)
        self._path = path
        self._file = file
        self._places = places

    def read(self, name: str, start: int, into: Array) -> None:
        """Fill ``into``, see :class:`StreamedWeights`. Raises UnreadableWeights: cut short."""
        place = self._places[name] + _NUMBER_BYTES * start
        rest = into.view(np.uint8)
        while rest.size:
            got = os.preadv(self._file.fileno(), [rest.data], place)
            if not got:
                raise UnreadableWeights(f"{self._path.name} was cut short while it was read.")
            place, rest = place + got, rest[got:]


@contextmanager
def open_weights(path: Path) -> Iterator[WeightsFile]:
    """Open a safetensors file of float32 arrays.

    Raises:
        UnreadableWeights: it is not safetensors, or truncated.
        SchemaMismatch: an array is not float32.
    """
    with path.open("rb", buffering=0) as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > MOST_HEADER_BYTES:
            raise UnreadableWeights(
                f"This is not a whole safetensors file: it announces a header of {length} bytes."
            )
        try:
            with safe_open(path, framework="numpy") as checked:
                schema, metadata = _schema(checked), checked.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise UnreadableWeights(f"This is not a whole safetensors file: {error}.") from error
        places = _places(file.read(length), schema)
        yield WeightsFile(path, file, schema, places, metadata)


def _schema(checked: Any) -> Schema:
    """The schema of a file that safetensors has checked."""
    shapes = []
    for name in checked.keys():  # noqa: SIM118 - it is no mapping
        piece = checked.get_slice(name)
        if piece.get_dtype() != _DTYPE:
            raise SchemaMismatch(f"{name} is {piece.get_dtype()}; weights are float32.")
        shapes.append((name, tuple(piece.get_shape())))
    return Schema(tuple(sorted(shapes)))


def _places(header: bytes, schema: Schema) -> dict[str, int]:
    """Where the bytes of each array begin, counted from the file's first byte.

    safetensors has checked that the arrays lie one after the other, that each is as long
    as its shape says, and that the file ends with the last; but it read the header itself.
    """
    told = json.loads(header)
    begin = _LENGTH_BYTES + len(header)
    places = {}
    for name, size in schema.sizes.items():
        first, end = told[name]["data_offsets"]
        if end - first != _NUMBER_BYTES * size:
            raise UnreadableWeights(
                f"This is not a whole safetensors file: {name} is described twice."
            )
        places[name] = begin + first
    return places


def read_weights(path: Path) -> dict[str, Array]:
    """All arrays of a file, in memory. Raises as :func:`open_weights`."""
    with open_weights(path) as opened:
        return dict(opened)


def write_weights(path: Path, weights: Weights, metadata: Mapping[str, str] | None = None) -> str:
    """Write weights as safetensors: durable, and under ``path`` whole or not at all.

    Equal weights with equal metadata give equal bytes, in every process. Of streamed
    weights memory holds a few pieces of 1 MiB.

    Returns:
        SHA-256 of the file's content, in hex.

    Raises:
        SchemaMismatch: an array is not float32, or has a name that cannot be.
    """
    header = _header(Schema.of(weights), metadata or {})
    digest = hashlib.sha256(header)
    with open_durably(path) as file:
        storing = EarlyStoring(file)
        file.write(header)
        for piece in _pieces(weights):
            digest.update(piece.data)
            file.write(piece.data)
            storing.go_on()
    return digest.hexdigest()


def _header(schema: Schema, metadata: Mapping[str, str]) -> bytes:
    """What stands before the arrays, which lie in order of name.

    The library writes metadata in an order that differs from call to call, so that what
    is made again after a kill would have another hash than the first time.
    """
    begin, sizes = 0, schema.sizes
    if _METADATA in sizes:
        raise SchemaMismatch(f"{_METADATA} cannot be the name of an array in safetensors.")
    header: dict[str, Any] = {_METADATA: dict(sorted(metadata.items()))} if metadata else {}
    for name, shape in schema.shapes:
        end = begin + _NUMBER_BYTES * sizes[name]
        header[name] = {"dtype": _DTYPE, "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)  # the arrays stay aligned
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


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
