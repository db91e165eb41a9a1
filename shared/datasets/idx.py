"""IDX, the format of MNIST's files: a header of big-endian numbers, then bytes.

The header is two zeros, the type of a number (8: an unsigned byte), the number of dimensions,
and four bytes for each dimension (Y. LeCun, C. Cortes, C. Burges, "The MNIST database").
Nothing is believed: a file holds exactly as many bytes as its header announces, and of a
compressed file no more than these are ever unpacked.
"""

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.errors import FedbellError

_UNSIGNED_BYTE = 8
_GZIP = b"\x1f\x8b"
#: Announced numbers a file may hold; MNIST's largest has 47 million.
_MOST_BYTES = 1 << 30
#: Of a picture, in pixels.
_MOST_SIDE = 4096


class BadIdxFile(FedbellError):
    """A file that is not the IDX file it should be."""

    status = 422
    title = "A data file cannot be used"


@dataclass(frozen=True)
class IdxFile:
    """An IDX file of unsigned bytes whose header has been checked. Use :func:`open_idx`.

    Attributes:
        path: the file, plain or compressed by gzip.
        shape: of what it holds; every side is at least 1.
    """

    path: Path
    shape: tuple[int, ...]

    def read(self) -> npt.NDArray[np.uint8]:
        """All of it, uint8 of ``shape``, read-only.

        Raises:
            BadIdxFile: it is cut short, damaged, or holds more than its header announces.
        """
        # Not mapped: a compressed file cannot be, and a plain one that somebody cuts short would
        # end this process. MNIST takes 47 MB.
        array = np.empty(math.prod(self.shape), np.uint8)
        rest = array.data
        with _unpacked(self.path) as file:
            file.read(_header_bytes(len(self.shape)))
            while rest:
                got = file.readinto(rest)
                if not got:
                    raise BadIdxFile(
                        f"{self.path} is cut short: it holds {len(array) - len(rest):,} of "
                        f"{len(array):,} bytes. Download it again."
                    )
                rest = rest[got:]
            if file.read(1):
                raise BadIdxFile(
                    f"{self.path} goes on after the {len(array):,} bytes that its header "
                    "announces. Download it again."
                )
        array.flags.writeable = False
        return array.reshape(self.shape)


def open_idx(path: Path, dimensions: int) -> IdxFile:
    """Check the header of an IDX file of unsigned bytes; the size of a plain file, too.

    Args:
        path: the file; whether it is compressed, its content says.
        dimensions: it has to have: 3 for pictures, 1 for labels.

    Raises:
        BadIdxFile: it is another file, damaged, empty, or not to be opened.
    """
    wanted = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    length = _header_bytes(dimensions)
    with _unpacked(path) as file:
        header = file.read(length)
    if header[:4] != wanted:
        raise BadIdxFile(
            f"{path} is no IDX file of {_told(dimensions)}: it begins with "
            f"{header[:4].hex() or 'nothing'}, not {wanted.hex()}. Download it again, and mind "
            "which file has which name."
        )
    if len(header) < length:
        raise BadIdxFile(f"{path} is cut short within its header. Download it again.")
    shape = tuple(int(side) for side in np.frombuffer(header, ">u4", offset=4))
    size = math.prod(shape)
    if not 0 < size <= _MOST_BYTES or max(shape[1:], default=1) > _MOST_SIDE:
        sides = " × ".join(map(str, shape))
        raise BadIdxFile(
            f"{path} announces {sides} bytes; there have to be some, and at most "
            f"{_MOST_BYTES:,} are read, and pictures of at most {_MOST_SIDE:,} pixels a side."
        )
    actual = path.stat().st_size
    if not _is_compressed(path) and actual != length + size:
        difference = "is cut short" if actual < length + size else "goes on after its end"
        raise BadIdxFile(
            f"{path} {difference}: it has {actual:,} bytes, and its header announces "
            f"{length + size:,}. Download it again."
        )
    return IdxFile(path, shape)


def _header_bytes(dimensions: int) -> int:
    return 4 + 4 * dimensions


def _told(dimensions: int) -> str:
    return {1: "labels", 3: "pictures"}.get(dimensions, f"{dimensions} dimensions")


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP


@contextmanager
def _unpacked(path: Path) -> Iterator[gzip.GzipFile | BufferedReader]:
    """The file's content, unpacked as it is read. Raises BadIdxFile for whatever goes wrong."""
    try:
        with gzip.open(path) if _is_compressed(path) else path.open("rb") as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadIdxFile(f"{path} is damaged ({error}). Download it again.") from error
    except OSError as error:
        raise BadIdxFile(f"{path} cannot be read: {error.strerror or error}.") from error
