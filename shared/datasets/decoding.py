"""From a JPEG or PNG file to the square of pixels that a network sees."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from shared.datasets.headers import JPEG, PNG, dimensions
from shared.errors import UnreadablePicture

Pixels = npt.NDArray[np.uint8]

#: Names what :func:`decode` makes of a file: turning, reducing, resizing. Change it with any of
#: these: what was computed from pixels is kept under this name, and pixels of another are others.
RECIPE = "square-2"

#: More pixels than this are not decoded: a small file can unpack to gigabytes.
MAX_PIXELS = 100_000_000

#: Larger files are not read at all.
MAX_BYTES = 200 * 1024 * 1024

#: OpenCV decodes a JPEG straight to a half, a quarter or an eighth, several times faster; what
#: is left is never smaller than the network sees. Of 255 shades a pixel moves by 1 or 2.
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
)


def decode(path: Path, size: int, channels: int = 3) -> Pixels:
    """Read a picture and bring it to ``size`` by ``size`` pixels, stretched where it is no square.

    The picture is turned as its EXIF data says; transparency is dropped.

    Args:
        path: a JPEG or PNG file, told by its content and not by its name.
        size: side of the result, in pixels.
        channels: 3 for RGB, 1 for grey: the brightness of a coloured picture.

    Returns:
        uint8 array of shape (size, size, channels).

    Raises:
        UnreadablePicture: not a whole picture, too large, or not to be opened.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnreadablePicture(f"{path} is larger than {MAX_BYTES // 2**20} MiB.")
        data = path.read_bytes()
    except OSError as error:
        raise UnreadablePicture(f"{path} cannot be opened: {error.strerror}.") from error
    width, height = dimensions(str(path), data)
    if data.startswith(PNG) and b"IEND" not in data[-64:]:
        raise UnreadablePicture(f"{path} is cut short: a PNG without its end.")
    if width * height > MAX_PIXELS:
        raise UnreadablePicture(
            f"{path} has {width} x {height} pixels; at most {MAX_PIXELS // 10**6} million are "
            "decoded. Make it smaller."
        )
    flag = reading_flag(data, min(width, height), size)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error as error:
        raise UnreadablePicture(f"{path} cannot be decoded: {error.err}.") from error
    if picture is None:
        raise UnreadablePicture(f"{path} cannot be decoded: the file is damaged.")
    shrinks = min(picture.shape[:2]) > size
    square = cv2.resize(
        picture,
        (size, size),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    kind = cv2.COLOR_BGR2GRAY if channels == 1 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(square, kind), dtype=np.uint8).reshape(size, size, channels)


def reading_flag(data: bytes, side: int, size: int) -> int:
    """How OpenCV is to read a picture of which no more than ``size`` pixels are needed.

    Args:
        data: the file.
        side: the picture's, in pixels.
        size: what is needed of that side, in pixels.
    """
    if data.startswith(JPEG):
        for factor, flag in _REDUCED:
            if side >= factor * size:
                return flag
    return int(cv2.IMREAD_COLOR)
