"""What the header of a JPEG or PNG file says, read without decoding it."""

from shared.errors import UnreadablePicture

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
#: Start-of-frame markers: all of C0 to CF but DHT, JPG and DAC.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Frames of the JPEGs that are to be met: baseline, extended, progressive.
_ORDINARY_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
#: OpenCV reads no picture that is wider or higher.
_MOST_SIDE = 2**20


def dimensions(name: str, data: bytes) -> tuple[int, int]:
    """Width and height of a picture, in pixels, by its header.

    A JPEG has its end, too: OpenCV fills what is missing of a file cut short with grey and does
    not say so.

    Args:
        name: what to call the file in what is raised.
        data: the file.

    Raises:
        UnreadablePicture: neither format, damaged, or a kind of it that cannot be read.
    """
    if data.startswith(PNG) and len(data) >= 24:
        width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
        if max(width, height) > _MOST_SIDE:
            raise UnreadablePicture(
                f"{name} is a picture of {width:,} x {height:,} pixels; at most {_MOST_SIDE:,} a "
                "side can be read. Cut it into parts, or make it smaller."
            )
        return width, height
    if data.startswith(JPEG):
        return _jpeg_dimensions(name, data)
    raise UnreadablePicture(f"{name} is neither a JPEG nor a PNG file.")


def _jpeg_dimensions(name: str, data: bytes) -> tuple[int, int]:
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in FRAMES:
            # Thumbnails lie before the frame, so an end after it is the picture's own.
            if data.rfind(b"\xff\xd9") < position:
                raise UnreadablePicture(f"{name} is cut short: a JPEG without its end.")
            _check_kind(name, marker, data[position + 4])
            height = int.from_bytes(data[position + 5 : position + 7])
            width = int.from_bytes(data[position + 7 : position + 9])
            return width, height
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4])
    raise UnreadablePicture(f"{name} is a JPEG without a frame header: the file is damaged.")


def _check_kind(name: str, marker: int, bits: int) -> None:
    """Raise UnreadablePicture for a kind of JPEG that hardly any program reads."""
    if marker not in _ORDINARY_FRAMES:
        kind = "an arithmetic-coded, lossless or hierarchical JPEG"
    elif bits != 8:
        kind = f"a JPEG of {bits} bits a colour"
    else:
        return
    raise UnreadablePicture(
        f"{name} is {kind}, which cannot be read here. Save it again as an ordinary 8-bit JPEG."
    )
