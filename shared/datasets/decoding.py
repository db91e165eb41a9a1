"""From a JPEG or PNG file to the square of pixels that a network sees."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from shared.errors import UnreadablePicture

Pixels = npt.NDArray[np.uint8]

#: Names what :func:`decode` makes of a file: turning, reducing, resizing. Change it with any of
#: these: what was computed from pixels is kept under this name, and pixels of another are others.
RECIPE = "square-2"

#: More pixels than this are not decoded: a small file can unpack to gigabytes.
MAX_PIXELS = 100_000_000

#: Larger files are not read at all.
MAX_BYTES = 200 * 1024 * 1024

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
#: Start-of-frame markers: all of C0 to CF but DHT, JPG and DAC.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: OpenCV decodes a JPEG straight to a half, a quarter or an eighth, several times faster; what
#: is left is never smaller than the network sees. Of 255 shades a pixel moves by 1 or 2.
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
)


def decode(path: Path, size: int) -> Pixels:
    """Read a picture and bring it to ``size`` by ``size`` pixels, stretched where it is no square.

    The picture is turned as its EXIF data says; transparency is dropped.

    Args:
        path: a JPEG or PNG file, told by its content and not by its name.
        size: side of the result, in pixels.

    Returns:
        uint8 array of shape (size, size, 3), RGB.

    Raises:
        UnreadablePicture: not a whole picture, too large, or not to be opened.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnreadablePicture(f"{path} is larger than {MAX_BYTES // 2**20} MiB.")
        data = path.read_bytes()
    except OSError as error:
        raise UnreadablePicture(f"{path} cannot be opened: {error.strerror}.") from error
    width, height = _dimensions(path, data)
    if width * height > MAX_PIXELS:
        raise UnreadablePicture(
            f"{path} has {width} x {height} pixels; at most {MAX_PIXELS // 10**6} million are "
            "decoded. Make it smaller."
        )
    flag = cv2.IMREAD_COLOR
    if data.startswith(_JPEG):
        for factor, reduced in _REDUCED:
            if min(width, height) >= factor * size:
                flag = reduced
                break
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
    return np.asarray(cv2.cvtColor(square, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _dimensions(path: Path, data: bytes) -> tuple[int, int]:
    """Width and height by the header, of a file that has its end.

    OpenCV fills what is missing of a file cut short with grey and does not say so.
    """
    if data.startswith(_PNG) and len(data) >= 24:
        if b"IEND" not in data[-64:]:
            raise UnreadablePicture(f"{path} is cut short: a PNG without its end.")
        return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    if data.startswith(_JPEG):
        return _jpeg_dimensions(path, data)
    raise UnreadablePicture(f"{path} is neither a JPEG nor a PNG file.")


def _jpeg_dimensions(path: Path, data: bytes) -> tuple[int, int]:
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _FRAMES:
            # Thumbnails lie before the frame, so an end after it is the picture's own.
            if data.rfind(b"\xff\xd9") < position:
                raise UnreadablePicture(f"{path} is cut short: a JPEG without its end.")
            height = int.from_bytes(data[position + 5 : position + 7])
            width = int.from_bytes(data[position + 7 : position + 9])
            return width, height
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4])
    raise UnreadablePicture(f"{path} is a JPEG without a frame header: the file is damaged.")
