"""Segments: files that hold the features of some pictures under the pictures' hashes.

A segment is a safetensors file with two arrays, ``features`` (n, …) and ``hashes`` uint8
(n, 32), and the CRC-32 of both. It is written once, under a name made of its hashes, and
mapped into memory when it is read: the system may take that memory back at any time.
"""

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from shared.federated.weights import open_durably

_HASH_BYTES = 32
_LENGTH_BYTES = 8
#: TensorFlow computes on mapped features where they lie if they begin at a multiple of this.
_ALIGNMENT = 64
_DTYPES = {"float32": "F32", "uint8": "U8"}


class DamagedSegment(Exception):
    """A file that is no whole segment."""


@dataclass(frozen=True)
class Segment:
    """A segment, mapped.

    Attributes:
        hashes: SHA-256 of each picture's file.
        features: (n, …); private to this process, so writable, but never written back.
    """

    path: Path
    hashes: list[bytes]
    features: npt.NDArray[Any]

    @cached_property
    def rows(self) -> dict[bytes, int]:
        """Where each picture's features are."""
        return {key: row for row, key in enumerate(self.hashes)}


def segment_name(hashes: Sequence[bytes]) -> str:
    """The file name of the segment of these pictures, in this order."""
    return f"{sha256(b''.join(hashes)).hexdigest()[:32]}.safetensors"


def write_segment(
    path: Path,
    hashes: Sequence[bytes],
    rows: Iterable[npt.NDArray[Any]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> None:
    """Write a segment, durably, one row after the other.

    Args:
        hashes: of each picture.
        rows: each picture's features, (*shape), of type ``dtype``.
    """
    count, row_bytes = len(hashes), int(np.prod(shape)) * dtype.itemsize
    with open_durably(path) as file:
        header = _header(count, shape, dtype, row_bytes, 0)
        file.write(header)
        checksum = 0
        for row in rows:
            content = np.ascontiguousarray(row, dtype).tobytes()
            checksum = zlib.crc32(content, checksum)
            file.write(content)
        table = b"".join(hashes)
        file.write(table)
        file.seek(0)
        file.write(_header(count, shape, dtype, row_bytes, zlib.crc32(table, checksum)))


def open_segment(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Segment:
    """Map a segment whose rows have this shape and type, and check it.

    Raises:
        DamagedSegment: it is not what :func:`write_segment` wrote.
        FileNotFoundError: there is none.
    """
    try:
        with safe_open(path, framework="numpy") as segment:
            table = np.asarray(segment.get_tensor("hashes"), np.uint8)
            described = segment.get_slice("features")
            count, *rest = described.get_shape()
            told = (segment.metadata() or {}).get("crc32", "")
            fits = tuple(rest) == shape and described.get_dtype() == _DTYPES[dtype.name]
        if not fits or table.shape != (count, _HASH_BYTES) or count == 0:
            raise DamagedSegment("its arrays have other shapes")
        with path.open("rb") as file:
            begin = _LENGTH_BYTES + int.from_bytes(file.read(_LENGTH_BYTES), "little")
        features = np.memmap(path, dtype, "c", begin, (count, *shape))
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DamagedSegment(str(error)) from error
    checksum = zlib.crc32(table.data, zlib.crc32(features.data))
    if told != f"{checksum:08x}":
        raise DamagedSegment("its checksum is wrong")
    return Segment(path, [row.tobytes() for row in table], features)


def _header(
    count: int, shape: tuple[int, ...], dtype: np.dtype[Any], row_bytes: int, checksum: int
) -> bytes:
    """What stands before the rows; as long whatever the checksum."""
    end = count * row_bytes
    description = {
        "__metadata__": {"crc32": f"{checksum:08x}"},
        "features": {
            "dtype": _DTYPES[dtype.name],
            "shape": [count, *shape],
            "data_offsets": [0, end],
        },
        "hashes": {
            "dtype": "U8",
            "shape": [count, _HASH_BYTES],
            "data_offsets": [end, end + count * _HASH_BYTES],
        },
    }
    text = json.dumps(description, separators=(",", ":")).encode()
    text += b" " * (-(_LENGTH_BYTES + len(text)) % _ALIGNMENT)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text
