"""Pictures as files, made byte by byte where it matters."""

import struct
import zlib

import cv2
import numpy as np
import numpy.typing as npt

from shared.datasets.headers import PNG


def noise(width: int = 40, height: int = 30, seed: int = 1) -> npt.NDArray[np.uint8]:
    """Coloured noise, large specks of it, so that turning it can be seen."""
    random = np.random.default_rng(seed)
    specks = random.integers(0, 256, (4, 5, 3), np.uint8)
    return np.asarray(cv2.resize(specks, (width, height)), np.uint8)


def encoded(pixels: npt.NDArray[np.uint8], suffix: str, *options: int) -> bytes:
    """A file of that suffix."""
    ok, data = cv2.imencode(suffix, pixels, options)
    assert ok
    return bytes(data)


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG's segment."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def after_start(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG with more segments at its beginning."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def exif(orientation: int) -> bytes:
    """A TIFF block that says how the picture is turned, and something secret."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4) + b"SECRET PLACE"


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG's chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def before_pixels(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks before its pixels."""
    at = png.index(b"IDAT") - 4
    return png[:at] + b"".join(chunks) + png[at:]


def bomb() -> bytes:
    """A PNG of 60 KB that says it has 50,000 by 50,000 pixels, and holds a fifth of them."""
    packer = zlib.compressobj(9)
    lines = bytes(100 * (1 + 50_000 // 8))
    packed = b"".join(packer.compress(lines) for _ in range(100)) + packer.flush()
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 1, 0, 0, 0, 0)
    return PNG + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
