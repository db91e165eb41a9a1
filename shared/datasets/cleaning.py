"""From the bytes that somebody uploads to the picture that is kept.

Kept is a file that decodes wholly and holds the picture and nothing else. The same picture
with other metadata becomes the same file. What is no plain file of one scan, and could hold more
than can be seen, is encoded anew.
"""

import hashlib
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from shared.datasets import foreign
from shared.datasets.headers import dimensions
from shared.datasets.jpeg_parts import shortened
from shared.datasets.parts import Stripped
from shared.datasets.png_parts import pixel_bytes, trim_pixels
from shared.datasets.stripping import strip
from shared.errors import UnreadablePicture

#: Of a thumbnail, in pixels.
THUMBNAIL_SIDE = 160

_JPEG_QUALITY, _THUMBNAIL_QUALITY = 95, 80
#: Decoded pictures are large: more than two at a time are not held in memory.
_DECODING = threading.BoundedSemaphore(2)
#: A picture may take as much memory and time as one of the most pixels, with 8 bits a colour and
#: its transparency, and in as many scans as programs make.
_MOST_BYTES_PER_PIXEL, _MOST_SCANS = 4, 20
#: Missing bytes at the end of a JPEG are seen in the last of its blocks.
_LAST_LINES = 16

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class CleanPicture:
    """A picture as it is kept: it can be decoded wholly, and holds nothing but the picture.

    Attributes:
        content: the file.
        format: of the file.
        width: in pixels, as the picture is shown.
        height: in pixels.
        removed_bytes: how many bytes came after the picture's end.
        thumbnail: a JPEG of at most 160 by 160 pixels.
    """

    content: bytes
    format: Literal["jpeg", "png"]
    width: int
    height: int
    removed_bytes: int
    thumbnail: bytes

    @cached_property
    def sha256(self) -> str:
        """Of the content, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def file_name(self) -> str:
        """Named after the content."""
        return f"{self.sha256}.{'jpg' if self.format == 'jpeg' else 'png'}"


def clean(data: bytes, most_pixels: int) -> CleanPicture:
    """The picture that is kept of an uploaded file.

    Args:
        data: the file; what it is, its content says.
        most_pixels: a picture of more is not decoded.

    Raises:
        UnreadablePicture: a sentence to show beside the file.
    """
    if not data:
        raise UnreadablePicture("The file is empty (0 bytes). Copy or download it again.")
    stripped = strip(data)
    if stripped is None:
        raise UnreadablePicture(foreign.told(data))
    _check_limits(stripped, most_pixels)
    with _DECODING:
        content, removed_bytes = _without_surplus(stripped)
        width, height = dimensions("The file", content)
        thumbnail = _thumbnail(content, max(width, height))
    return CleanPicture(content, stripped.format, width, height, removed_bytes, thumbnail)


def _check_limits(stripped: Stripped, most_pixels: int) -> None:
    """Raise UnreadablePicture for what would take too much memory or time to decode."""
    width, height = dimensions("The file", stripped.content)
    pixels = width * height
    most = f"{most_pixels / 10**6:g} million"
    if pixels > most_pixels:
        raise UnreadablePicture(
            f"The picture has {width:,} x {height:,} pixels; at most {most} are taken "
            "(most_picture_pixels). Make it smaller."
        )
    if pixels * stripped.scans > most_pixels * _MOST_SCANS:
        raise UnreadablePicture(
            f"The picture has {width:,} x {height:,} pixels in {stripped.scans} scans, which takes "
            "too long to read. Save it again as an ordinary JPEG, not a progressive one."
        )
    is_deep = stripped.format == "png" and pixel_bytes(stripped.content) > (
        most_pixels * _MOST_BYTES_PER_PIXEL
    )
    if is_deep:
        raise UnreadablePicture(
            f"The picture has {width:,} x {height:,} pixels of 16 bits a colour; at most {most} of "
            "8 bits are taken (most_picture_pixels). Save it with 8 bits a colour."
        )


def _without_surplus(stripped: Stripped) -> tuple[bytes, int]:
    """The file that is kept of a picture, and how many bytes followed the picture's end."""
    import cv2

    if stripped.format == "png":
        stripped = trim_pixels(stripped)
    content, removed_bytes = stripped.content, stripped.removed_bytes
    if stripped.orientation == 1 and stripped.is_plain:
        if stripped.format == "png":
            return content, removed_bytes
        pixels = _decoded(content, cv2.IMREAD_UNCHANGED)
        if not _shows(shortened(content), pixels):
            return content, removed_bytes
    else:
        pixels = _decoded(content, cv2.IMREAD_UNCHANGED)
    upright = _upright(pixels, stripped.orientation)
    return _encoded(upright, stripped.format, _JPEG_QUALITY), removed_bytes


def _shows(content: bytes, pixels: Pixels) -> bool:
    """Whether a JPEG file that lacks its end ends with the same pixels nevertheless."""
    import cv2

    try:
        others = _decoded(content, cv2.IMREAD_UNCHANGED)
    except UnreadablePicture:
        return False
    return np.array_equal(others[-_LAST_LINES:], pixels[-_LAST_LINES:])


def _decoded(content: bytes, flag: int) -> Pixels:
    """uint8 array (height, width) or (height, width, 3 or 4), BGR; all of the file is read.

    Raises:
        UnreadablePicture: it cannot be decoded.
    """
    import cv2  # here: a device's web side starts without it

    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except (cv2.error, MemoryError) as error:
        raise _not_decoded() from error
    if pixels is None:
        raise _not_decoded()
    return np.asarray(pixels)


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """A picture's pixels, turned as EXIF said by its number from 1 to 8."""
    if orientation >= 5:  # mirrored at the diagonal, then as 1 to 4
        pixels = pixels.swapaxes(0, 1)
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    return pixels


def _thumbnail(content: bytes, side: int) -> bytes:
    """A small JPEG of a picture whose longer side has so many pixels."""
    import cv2

    from shared.datasets.decoding import reading_flag

    pixels = _decoded(content, reading_flag(content, side, THUMBNAIL_SIDE))
    height, width = pixels.shape[:2]
    scale = THUMBNAIL_SIDE / max(width, height)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return _encoded(pixels, "jpeg", _THUMBNAIL_QUALITY)


def _encoded(pixels: Pixels, picture_format: str, jpeg_quality: int) -> bytes:
    import cv2

    suffix, options = ".png", []
    if picture_format == "jpeg":
        suffix, options = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality]
    try:
        encoded = cv2.imencode(suffix, np.ascontiguousarray(pixels), options)[1]
    except (cv2.error, MemoryError) as error:
        raise _not_decoded() from error
    return bytes(encoded)


def _not_decoded() -> UnreadablePicture:
    return UnreadablePicture("The file is damaged: it cannot be decoded. Copy it again.")
