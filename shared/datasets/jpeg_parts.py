"""A JPEG file's segments: which of them are the picture."""

import re

from shared.datasets.headers import FRAMES
from shared.datasets.parts import CUT_SHORT, Stripped, damaged, orientation_of
from shared.errors import UnreadablePicture

_DHT, _EOI, _SOS, _DQT, _DNL, _DRI, _DAC = 0xC4, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xCC
_BASELINE = frozenset({0xC0, 0xC1})
_APP0, _APP1, _APP14 = 0xE0, 0xE1, 0xEE
_KEPT_SEGMENTS = FRAMES | {_DHT, _DQT, _DNL, _DRI, _DAC}
#: Markers without a length of their own; none of them lies between segments.
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
#: What ends a scan: a marker that is neither a stuffed byte, nor a restart, nor a fill byte.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART_OR_FILL = re.compile(rb"\xff[\xd0-\xd7\xff]")
#: Files of more parts than this are made to keep a reader busy.
_MOST_SEGMENTS, _MOST_SCANS = 10_000, 100
#: With so many bytes fewer at its end a scan lacks pixels: the reader looks no further ahead.
_NEEDED_AT_END = 8

#: A marker and what follows its length.
_Segment = tuple[int, bytes]


def strip_jpeg(data: bytes) -> Stripped:
    """A JPEG file without metadata.

    Raises:
        UnreadablePicture: the file is damaged.
    """
    kept: list[bytes] = [data[:2]]
    picture: list[_Segment] = []
    seen: set[int] = set()
    orientation, scans, position, has_restarts = 1, 0, 2, False
    for _ in range(_MOST_SEGMENTS):
        while data[position : position + 2] == b"\xff\xff":  # fill bytes
            position += 1
        if position + 2 > len(data):
            raise UnreadablePicture(CUT_SHORT)
        marker = data[position + 1]
        if marker == _EOI:
            kept.append(b"\xff\xd9")
            is_plain = _is_plain(picture) and not has_restarts
            removed = len(data) - position - 2
            return Stripped(b"".join(kept), "jpeg", orientation, removed, is_plain, scans)
        if data[position] != 0xFF or marker in _BARE:
            raise damaged(f"no segment begins at byte {position}")
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        body = data[position + 4 : end]
        if end > len(data) or end < position + 4:
            raise UnreadablePicture(CUT_SHORT)
        if marker in {_APP0, _APP14} and marker not in seen and (header := _header(marker, body)):
            kept.append(header)
            seen.add(marker)
        elif marker == _APP1 and body.startswith(b"Exif\0\0") and orientation == 1:
            orientation = orientation_of(body[6:])
        elif marker in _KEPT_SEGMENTS:
            kept.append(data[position:end])
            picture.append((marker, body))
        elif marker == _SOS:
            scans += 1
            following = _AFTER_SCAN.search(data, end)
            if following is None:
                raise UnreadablePicture(CUT_SHORT)
            has_restarts |= _RESTART_OR_FILL.search(data, end, following.start()) is not None
            end = following.start()
            kept.append(data[position:end])
            picture.append((marker, body))
        position = end
        if scans > _MOST_SCANS:
            break
    raise damaged("it has too many parts")


def shortened(content: bytes) -> bytes:
    """A plain JPEG file whose scan lacks its end: it shows other pixels if it needed that end."""
    return content[: -_NEEDED_AT_END - 2]  # with its end marker, the reader would warn in the log


def _header(marker: int, body: bytes) -> bytes | None:
    """What a reader needs of JFIF's or Adobe's segment; None if it is neither."""
    if marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= 14:
        return b"\xff\xe0\x00\x10" + body[:12] + b"\0\0"  # its thumbnail left out
    if marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
        return b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0" + body[11:12]  # the kind of its colours
    return None


def _is_plain(picture: list[_Segment]) -> bool:
    """Whether there is one frame, one scan and each table once that they need, and no more.

    Between restarts, and at the end of all scans but the last, anything can lie unseen.
    """
    frames = [body for marker, body in picture if marker in _BASELINE]
    scans = [body for marker, body in picture if marker == _SOS]
    tables = [each for each in picture if each[0] in {_DQT, _DHT}]
    if len(frames) != 1 or len(scans) != 1 or len(picture) != len(tables) + 2:
        return False
    frame, scan = frames[0], scans[0]
    colours = frame[5] if len(frame) > 5 else 0
    if len(frame) != 6 + 3 * colours or len(scan) != 4 + 2 * colours or scan[0] != colours:
        return False
    needed = {(_DQT, frame[8 + 3 * colour]) for colour in range(colours)}
    for chosen in scan[2:-3:2]:
        needed |= {(_DHT, chosen >> 4), (_DHT, 0x10 | chosen & 0x0F)}
    return sorted(_tables(tables)) == sorted(needed) and scan[-3:] == b"\0\x3f\0"


def _tables(segments: list[_Segment]) -> list[tuple[int, int]]:
    """The marker and the number of each table; the number is -1 where one does not fit."""
    found = []
    for marker, body in segments:
        position = 0
        while position < len(body):
            first = body[position]
            if marker == _DQT:
                number, size = first & 0x0F, 1 + (128 if first >> 4 else 64)
            else:
                number, size = first, 17 + sum(body[position + 1 : position + 17])
            position += size
            found.append((marker, number if position <= len(body) else -1))
    return found
