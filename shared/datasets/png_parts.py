"""A PNG file's chunks: which of them are the picture, and where its packed pixels end."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from shared.datasets.headers import PNG
from shared.datasets.parts import CUT_SHORT, Stripped, damaged, orientation_of
from shared.errors import UnreadablePicture

#: Files of more parts than this are made to keep a reader busy.
_MOST_CHUNKS = 100_000
_CRITICAL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
#: Chunks that say how the pixels are meant, and how long they can be.
_MEANING_CHUNKS = {
    b"tRNS": 256,
    b"gAMA": 4,
    b"sRGB": 1,
    b"cHRM": 32,
    b"sBIT": 4,
    b"pHYs": 9,
}
_PALETTE = 3
#: By colour type: values of a pixel, and the length of a chunk that names one clear colour.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ONE_COLOUR = {0: 2, 2: 6}
#: First column and line of each pass of an interlaced picture, and the steps to the next.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_PACKED_AT_ONCE, _UNPACKED_AT_ONCE = 64 * 1024, 1024 * 1024
_END = b"\0\0\0\0IEND\xaeB`\x82"


class _Chunk(NamedTuple):
    kind: bytes
    body: bytes
    whole: bytes
    end: int


def strip_png(data: bytes) -> Stripped:
    """A PNG file without metadata.

    Raises:
        UnreadablePicture: the file is damaged.
    """
    kept: dict[bytes, list[bytes]] = {}
    orientation, colours = 1, 0
    for index, chunk in enumerate(_chunks(data)):
        kind, body = chunk.kind, chunk.body
        if (kind == b"IHDR") != (index == 0) or (kind == b"IHDR" and len(body) != 13):
            raise damaged("its header is not where it should be")
        if zlib.crc32(kind + body) != int.from_bytes(chunk.whole[-4:]):
            raise damaged(f"the check sum of its part {index + 1} is wrong")
        if kind == b"IHDR":
            colours = body[9]
        if kind == b"IEND":
            content = b"".join([PNG, *(part for parts in kept.values() for part in parts), _END])
            removed = len(data) - chunk.end + len(body)
            return Stripped(content, "png", orientation, removed)
        if kind in {b"IHDR", b"IDAT"}:
            kept.setdefault(kind, []).append(chunk.whole)
        elif _says_how_pixels_are_meant(kind, len(body), colours):
            if kind not in kept and b"IDAT" not in kept:
                kept[kind] = [chunk.whole]
        elif kind not in _CRITICAL_CHUNKS and not kind[0] & 0x20:
            raise damaged("it needs a reader that knows more than the PNG standard")
        elif kind == b"eXIf" and orientation == 1:
            orientation = orientation_of(body)
    raise damaged("it has too many parts")


def trim_pixels(stripped: Stripped) -> Stripped:
    """A stripped PNG file without what follows its pixels, packed or unpacked.

    No more is unpacked than the header says.

    Raises:
        UnreadablePicture: pixels are missing.
    """
    chunks = list(_chunks(stripped.content))
    packed = b"".join(chunk.body for chunk in chunks if chunk.kind == b"IDAT")
    unpacker, most = zlib.decompressobj(), _unpacked_size(chunks[0].body)
    size = 0
    try:
        for begin in range(0, len(packed), _PACKED_AT_ONCE):
            waiting = packed[begin : begin + _PACKED_AT_ONCE]
            while waiting and not unpacker.eof and size <= most:
                size += len(unpacker.decompress(waiting, _UNPACKED_AT_ONCE))
                waiting = unpacker.unconsumed_tail
            if unpacker.eof or size > most:
                break
    except zlib.error as error:
        raise damaged("its pixels cannot be decoded") from error
    if size < most or not (unpacker.eof or size > most):
        raise damaged("its pixels cannot be decoded")
    surplus = len(packed) - min(begin + _PACKED_AT_ONCE, len(packed)) + len(unpacker.unused_data)
    if size > most:  # libpng would unpack all of them
        surplus = 0
        pixels = b"IDAT" + zlib.compress(zlib.decompressobj().decompress(packed, most))
    elif surplus:
        pixels = b"IDAT" + packed[: len(packed) - surplus]
    else:
        return stripped
    before = [chunk.whole for chunk in chunks if chunk.kind not in {b"IDAT", b"IEND"}]
    one = struct.pack(">I", len(pixels) - 4) + pixels + struct.pack(">I", zlib.crc32(pixels))
    content = b"".join([PNG, *before, one, _END])
    return stripped._replace(content=content, removed_bytes=stripped.removed_bytes + surplus)


def pixel_bytes(content: bytes) -> int:
    """How many bytes the pixels of a PNG file take, by its header."""
    width, height, depth, colours = struct.unpack_from(">IIBB", content, 16)
    return int(width * height * _CHANNELS.get(colours, 1) * depth // 8)


def _says_how_pixels_are_meant(kind: bytes, length: int, colours: int) -> bool:
    if kind == b"PLTE":
        return colours == _PALETTE and length <= 768
    if kind == b"tRNS" and colours != _PALETTE:
        return length == _ONE_COLOUR.get(colours)
    return length <= _MEANING_CHUNKS.get(kind, -1)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    position = len(PNG)
    for _ in range(_MOST_CHUNKS):
        end = position + 12 + int.from_bytes(data[position : position + 4])
        if end > len(data):
            raise UnreadablePicture(CUT_SHORT)
        kind, body = data[position + 4 : position + 8], data[position + 8 : end - 4]
        yield _Chunk(kind, body, data[position:end], end)
        if kind == b"IEND":
            return
        position = end


def _unpacked_size(header: bytes) -> int:
    """Bytes of all lines of pixels, each with the byte before it that names its filter."""
    width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if colours not in _CHANNELS:
        raise damaged("its header says what no PNG can be")
    bits = depth * _CHANNELS[colours]
    size = 0
    for column, line, right, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns = max(0, -((column - width) // right))
        lines = max(0, -((line - height) // down))
        if columns:
            size += lines * (1 + (columns * bits + 7) // 8)
    return size
