"""JPEG and PNG files taken apart, and put together again without all that is no picture.

What goes: EXIF with place, time and camera, XMP, ICC profiles, comments, thumbnails, further
pictures and frames, and whatever follows the picture's end. No pixel is decoded for that.
"""

from shared.datasets.headers import JPEG, PNG
from shared.datasets.jpeg_parts import strip_jpeg
from shared.datasets.parts import Stripped
from shared.datasets.png_parts import strip_png


def strip(data: bytes) -> Stripped | None:
    """A JPEG or PNG file without metadata; None if ``data`` is neither.

    Raises:
        UnreadablePicture: the file is damaged.
    """
    if data.startswith(PNG):
        return strip_png(data)
    return strip_jpeg(data) if data.startswith(JPEG) else None
