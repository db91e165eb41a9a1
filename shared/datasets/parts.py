"""What the parts of a picture's file have in common, whatever its format."""

from typing import Literal, NamedTuple

from shared.errors import UnreadablePicture

CUT_SHORT = "The file is cut short: its end is missing. Copy or download it again."


class Stripped(NamedTuple):
    """A picture without metadata.

    Attributes:
        content: the file.
        format: of the file.
        orientation: how the picture was to be turned, by EXIF; 1: not at all.
        removed_bytes: how many bytes followed the picture's end.
        is_plain: whether its parts leave no room for anything else; if not, the picture is to
            be encoded anew.
        scans: how often a reader goes over the whole picture.
    """

    content: bytes
    format: Literal["jpeg", "png"]
    orientation: int
    removed_bytes: int
    is_plain: bool = True
    scans: int = 1


def orientation_of(exif: bytes) -> int:
    """How EXIF data, a TIFF header and what follows, says that the picture is turned: 1 to 8."""
    order: Literal["little", "big"] | None
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(exif[:4])  # type: ignore[assignment]
    if order is None:
        return 1
    directory = int.from_bytes(exif[4:8], order)
    for entry in range(int.from_bytes(exif[directory : directory + 2], order)):
        at = directory + 2 + 12 * entry
        if int.from_bytes(exif[at : at + 2], order) == 0x0112:
            value = int.from_bytes(exif[at + 8 : at + 10], order)
            return value if 1 <= value <= 8 else 1
    return 1


def damaged(how: str) -> UnreadablePicture:
    """A sentence about a file that is not as its format says."""
    return UnreadablePicture(f"The file is damaged: {how}. Copy or download it again.")
