"""Safetensors files of arrays of some dtypes: checked when opened, read piece by piece.

Why not memory-mapped: the pages of a mapped file count as the process's memory, and giving
them back after each block costs a page fault for each 4 kB when the next file is mapped.
Reading a block from the page cache into one that is used again costs a copy of what fits in
the processor's cache: half the time (``benchmarks/aggregation_speed.py`` measures both), no
page that stays, and a file that somebody cuts short is an error instead of a SIGBUS.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from shared.errors import FedbellError
from shared.federated.weights.durable import EarlyStoring, open_whole
from shared.federated.weights.schema import SchemaMismatch

#: What arrays may be of, by the names that safetensors has for it.
DTYPES: Mapping[str, np.dtype[Any]] = {
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "I8": np.dtype(np.int8),
    "U32": np.dtype(np.uint32),
}
_METADATA = "__metadata__"

#: A safetensors file starts with the length of its JSON header, a little-endian number.
_LENGTH_BYTES = 8

#: A header this long describes thousands of arrays; reading a longer one costs memory.
MOST_HEADER_BYTES = 1024 * 1024


class UnreadableWeights(FedbellError):
    """Not a safetensors file, or a truncated one."""

    status = 422
    title = "The weights cannot be read"


@dataclass(frozen=True)
class Stored:
    """How an array lies in a file: its dtype, a name of DTYPES, and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """How long it is."""
        return DTYPES[self.dtype].itemsize * self.size


class ArraysFile:
    """A safetensors file, opened: what is in it at once, numbers as they are asked for.

    Use :func:`open_arrays`.

    Args:
        name: for messages.
        file: open for reading.
        stored: what is in it, by name.
        places: by name, where the array's bytes begin in the file.
    """

    def __init__(
        self,
        name: str,
        file: FileIO,
        stored: Mapping[str, Stored],
        places: Mapping[str, int],
        metadata: Mapping[str, str],
    ) -> None:
        self.stored = stored
        self.metadata = dict(metadata)
        self._name = name
        self._file = file
        self._places = places

    def read(self, name: str, start: int, into: npt.NDArray[Any]) -> None:
        """Fill ``into`` with the numbers of one array from ``start`` on, in C order.

        May be called from several threads at once.

        Args:
            into: contiguous, of one dimension and of the array's dtype; ends within the array.

        Raises:
            UnreadableWeights: the file was cut short.
        """
        place = self._places[name] + into.itemsize * start
        rest = into.view(np.uint8)
        while rest.size:
            got = os.preadv(self._file.fileno(), [rest.data], place)
            if not got:
                raise UnreadableWeights(f"{self._name} was cut short while it was read.")
            place, rest = place + got, rest[got:]


@contextmanager
def open_arrays(path: Path) -> Iterator[ArraysFile]:
    """Open a safetensors file.

    Raises:
        UnreadableWeights: it is not safetensors, or truncated.
        SchemaMismatch: an array is of none of DTYPES.
    """
    with path.open("rb", buffering=0) as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > MOST_HEADER_BYTES:
            raise UnreadableWeights(
                f"This is not a whole safetensors file: it announces a header of {length} bytes."
            )
        try:
            with safe_open(path, framework="numpy") as checked:
                stored, metadata = _stored(checked), checked.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise UnreadableWeights(f"This is not a whole safetensors file: {error}.") from error
        places = _places(file.read(length), stored)
        yield ArraysFile(path.name, file, stored, places, metadata)


def _stored(checked: Any) -> dict[str, Stored]:
    """What is in a file that safetensors has checked, in order of name."""
    stored = {}
    for name in sorted(checked.keys()):
        piece = checked.get_slice(name)
        dtype = piece.get_dtype()
        if dtype not in DTYPES:
            raise SchemaMismatch(f"{name} is {dtype}; weights are float32.")
        stored[name] = Stored(dtype, tuple(piece.get_shape()))
    return stored


def _places(header: bytes, stored: Mapping[str, Stored]) -> dict[str, int]:
    """Where the bytes of each array begin, counted from the file's first byte.

    safetensors has checked that the arrays lie one after the other, that each is as long
    as its shape says, and that the file ends with the last; but it read the header itself.
    """
    told = json.loads(header)
    begin = _LENGTH_BYTES + len(header)
    places = {}
    for name, array in stored.items():
        first, end = told[name]["data_offsets"]
        if end - first != array.bytes or told[name]["dtype"] != array.dtype:
            raise UnreadableWeights(
                f"This is not a whole safetensors file: {name} is described twice."
            )
        places[name] = begin + first
    return places


def in_file_order(stored: Mapping[str, Stored]) -> list[str]:
    """The names of arrays as they lie in a file: so that each is aligned, then by name."""
    return sorted(stored, key=lambda name: (-DTYPES[stored[name].dtype].itemsize, name))


def write_arrays(
    path: Path,
    stored: Mapping[str, Stored],
    pieces: Iterable[npt.NDArray[Any]],
    metadata: Mapping[str, str],
    *,
    durable: bool = True,
) -> str:
    """Write a safetensors file: under ``path`` whole or not at all.

    Equal arrays with equal metadata give equal bytes, in every process.

    Args:
        pieces: all numbers, those of the arrays :func:`in_file_order`, each in C order.
        durable: whether it is fsynced.

    Returns:
        SHA-256 of the file's content, in hex.

    Raises:
        SchemaMismatch: an array has a name that cannot be.
    """
    header = _header(stored, metadata)
    digest = hashlib.sha256(header)
    with open_whole(path, durable=durable) as file:
        storing = EarlyStoring(file)
        file.write(header)
        for piece in pieces:
            digest.update(piece.data)
            file.write(piece.data)
            storing.go_on()
    return digest.hexdigest()


def _header(stored: Mapping[str, Stored], metadata: Mapping[str, str]) -> bytes:
    """What stands before the arrays.

    The library writes metadata in an order that differs from call to call, so that what
    is made again after a kill would have another hash than the first time.
    """
    if _METADATA in stored:
        raise SchemaMismatch(f"{_METADATA} cannot be the name of an array in safetensors.")
    header: dict[str, Any] = {_METADATA: dict(sorted(metadata.items()))} if metadata else {}
    begin = 0
    for name in in_file_order(stored):
        array = stored[name]
        end = begin + array.bytes
        header[name] = {"dtype": array.dtype, "shape": array.shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)  # the arrays stay aligned
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text
