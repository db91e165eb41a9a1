import hashlib
import io
import struct
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from shared.datasets.cleaning import CleanPicture, clean
from shared.datasets.headers import PNG
from shared.errors import UnreadablePicture
from tests.datasets import pictures
from tests.datasets.pictures import after_start, before_pixels, chunk, segment

MOST_PIXELS = 1_000_000

JPEG_FILE = pictures.encoded(pictures.noise(), ".jpg")
PROGRESSIVE_FILE = pictures.encoded(
    pictures.noise(), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2
)
PNG_FILE = pictures.encoded(pictures.noise(), ".png")
GREY_FILE = pictures.encoded(pictures.noise()[..., 0], ".jpg")
FILES = {"jpeg": JPEG_FILE, "progressive": PROGRESSIVE_FILE, "png": PNG_FILE}


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def refused(data: bytes) -> str:
    with pytest.raises(UnreadablePicture) as caught:
        clean(data, MOST_PIXELS)
    return caught.value.detail


@pytest.mark.parametrize("data", [JPEG_FILE, GREY_FILE, PNG_FILE], ids=["jpeg", "grey", "png"])
def test_a_picture_without_metadata_stays_as_it_is(data: bytes) -> None:
    kept = clean(data, MOST_PIXELS)
    assert kept.content == data
    assert (kept.width, kept.height, kept.removed_bytes) == (40, 30, 0)
    assert kept.sha256 == hashlib.sha256(data).hexdigest()
    assert decoded(kept.thumbnail).shape == (30, 40, 3)


def test_a_progressive_picture_is_kept_as_an_ordinary_one() -> None:
    kept = clean(PROGRESSIVE_FILE, MOST_PIXELS)
    assert (kept.width, kept.height, kept.removed_bytes) == (40, 30, 0)
    assert clean(kept.content, MOST_PIXELS) == kept
    difference = np.abs(decoded(kept.content).astype(int) - decoded(PROGRESSIVE_FILE))
    assert difference.mean() < 2


def test_all_metadata_of_a_jpeg_goes() -> None:
    secrets = [
        segment(0xE1, b"Exif\0\0" + pictures.exif(1)),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>SECRET</x:xmpmeta>"),
        segment(0xE0, b"JFXX\0\x10SECRET thumbnail"),
        segment(0xE2, b"ICC_PROFILE\0SECRET"),
        segment(0xE2, b"MPF\0SECRET"),
        segment(0xED, b"Photoshop 3.0\0SECRET"),
        segment(0xEE, b"not Adobe: SECRET"),
        segment(0xFE, b"SECRET comment"),
    ]
    data = after_start(JPEG_FILE, *secrets)
    assert (decoded(data) == decoded(JPEG_FILE)).all()
    assert clean(data, MOST_PIXELS) == clean(JPEG_FILE, MOST_PIXELS)
    # Between a progressive picture's scans, too.
    at = PROGRESSIVE_FILE.rindex(b"\xff\xda")
    data = PROGRESSIVE_FILE[:at] + secrets[-1] + PROGRESSIVE_FILE[at:]
    assert clean(data, MOST_PIXELS) == clean(PROGRESSIVE_FILE, MOST_PIXELS)


def test_a_thumbnail_in_a_jpegs_first_header_goes() -> None:
    header = segment(0xE0, JPEG_FILE[6:18] + b"\x01\x02" + b"SECRET")
    data = JPEG_FILE[:2] + header + JPEG_FILE[20:]
    assert clean(data, MOST_PIXELS).content == JPEG_FILE


def test_what_a_decoder_needs_to_know_of_colours_stays() -> None:
    adobe = b"Adobe\0\x64\0\0\0\0\0"  # the last byte: the channels are RGB
    bare = JPEG_FILE[:2] + JPEG_FILE[20:]
    data = after_start(bare, segment(0xEE, adobe + b"SECRET"))
    kept = clean(data, MOST_PIXELS).content
    assert kept == after_start(bare, segment(0xEE, adobe))
    assert (decoded(kept) == decoded(data)).all()
    assert (decoded(kept) != decoded(bare)).any()


def test_all_metadata_of_a_png_goes() -> None:
    secrets = [
        chunk(b"tEXt", b"Comment\0SECRET"),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10**6))),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0SECRET"),
        chunk(b"eXIf", pictures.exif(1)),
        chunk(b"iCCP", b"SECRET\0\0" + zlib.compress(b"profile")),
        chunk(b"tIME", struct.pack(">HBBBBB", 2026, 1, 2, 3, 4, 5)),
        chunk(b"seCr", b"SECRET"),
        chunk(b"pHYs", b"SECRET that is longer than it can be"),
    ]
    assert clean(before_pixels(PNG_FILE, *secrets), MOST_PIXELS) == clean(PNG_FILE, MOST_PIXELS)


def test_what_says_how_the_pixels_of_a_png_are_meant_stays() -> None:
    data = before_pixels(
        PNG_FILE, chunk(b"gAMA", struct.pack(">I", 45455)), chunk(b"pHYs", bytes(9))
    )
    assert clean(data, MOST_PIXELS).content == data
    transparent = pictures.encoded(np.full((3, 4, 4), 70, np.uint8), ".png")
    assert clean(transparent, MOST_PIXELS).content == transparent


def test_of_an_animation_the_still_picture_stays() -> None:
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 40, 30, 0, 0, 1, 10, 0, 0))
    frame = chunk(b"fdAT", bytes(4) + b"SECRET")
    data = before_pixels(PNG_FILE, chunk(b"acTL", struct.pack(">II", 2, 0)), control)
    data = data[:-12] + frame + data[-12:]
    assert clean(data, MOST_PIXELS).content == PNG_FILE


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_turned_picture_is_kept_upright(suffix: str, orientation: int) -> None:
    turn = pictures.exif(orientation)
    if suffix == "jpg":
        data = after_start(JPEG_FILE, segment(0xE1, b"Exif\0\0" + turn))
    else:
        data = before_pixels(PNG_FILE, chunk(b"eXIf", turn))
    kept = clean(data, MOST_PIXELS)
    shown = decoded(data)  # OpenCV turns it
    assert (kept.height, kept.width, 3) == shown.shape
    assert np.abs(decoded(kept.content).astype(int) - shown).max() <= (20 if suffix == "jpg" else 0)
    assert np.abs(decoded(kept.content).astype(int) - shown).mean() < 3
    assert b"SECRET" not in kept.content
    assert clean(data, MOST_PIXELS) == kept
    assert clean(kept.content, MOST_PIXELS).content == kept.content


def test_a_turned_grey_picture_stays_grey_and_a_transparent_one_transparent() -> None:
    turn = chunk(b"eXIf", pictures.exif(6))
    for channels in (1, 4):
        data = pictures.encoded(np.full((3, 5, channels), 70, np.uint8), ".png")
        kept = clean(before_pixels(data, turn), MOST_PIXELS)
        assert kept.content[25] == data[25]  # the colour type
        assert (kept.width, kept.height) == (3, 5)


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_what_follows_the_picture_is_cut_off_and_told(data: bytes) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a.html", "<script>alert(1)</script>")
    tail = b"<html><script>alert(1)</script>" + archive.getvalue() + b"\xff\xd9" + data
    kept = clean(data + tail, MOST_PIXELS)
    assert kept.removed_bytes == len(tail)
    assert kept.content == clean(data, MOST_PIXELS).content


SECRET = b"SECRET that nobody sees, longer than a few bytes"


def in_scan(jpeg: bytes, at: int) -> bytes:
    """A JPEG with something between the data of its pixels and a marker."""
    return jpeg[:at] + SECRET + jpeg[at:]


def hidden_in_jpegs() -> dict[str, bytes]:
    table = JPEG_FILE.index(b"\xff\xdb")
    scan = JPEG_FILE.index(b"\xff\xda")
    frame = JPEG_FILE.index(b"\xff\xc0")
    restart = PROGRESSIVE_FILE.index(b"\xff\xd0", PROGRESSIVE_FILE.index(b"\xff\xda"))
    restarts = pictures.encoded(pictures.noise(), ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 1)
    last_scan = PROGRESSIVE_FILE.rindex(b"\xff\xda")
    unused = bytes([3]) + SECRET.ljust(64)
    several = [segment(0xDB, unused)] * 1000
    adobe = segment(0xEE, b"Adobe\0\x64SECRET"[:11] + b"\1" + SECRET)
    return {
        "after the last scan": in_scan(JPEG_FILE, len(JPEG_FILE) - 2),
        "after a grey scan": in_scan(GREY_FILE, len(GREY_FILE) - 2),
        "after a progressive scan": in_scan(PROGRESSIVE_FILE, last_scan),
        "before a restart": in_scan(restarts, restarts.index(b"\xff\xd1")),
        "before a progressive restart": in_scan(PROGRESSIVE_FILE, restart),
        "in tables": after_start(JPEG_FILE, *several),
        "after a table": JPEG_FILE[:table] + segment(0xDB, unused) + JPEG_FILE[table:],
        "in a number of lines": JPEG_FILE[:-2] + segment(0xDC, SECRET) + b"\xff\xd9",
        "in restart intervals": JPEG_FILE[:scan] + segment(0xDD, b"\0\0") * 9 + JPEG_FILE[scan:],
        "in Adobe's segments": JPEG_FILE[:frame] + adobe * 50 + JPEG_FILE[frame:],
    }


@pytest.mark.parametrize("where", hidden_in_jpegs())
def test_nothing_is_hidden_in_a_jpeg(where: str) -> None:
    data = hidden_in_jpegs()[where]
    kept = cleaned(data)
    if kept is None:
        return  # refused with a sentence
    assert b"SECRET" not in kept.content
    assert len(kept.content) < 2 * len(JPEG_FILE)
    assert clean(kept.content, MOST_PIXELS).content == kept.content
    if "Adobe" not in where:
        assert np.abs(decoded(kept.content).astype(int) - decoded(data)).mean() < 2


def png_of(colours: int, packed: bytes, *chunks: bytes, interlaced: int = 0) -> bytes:
    """A PNG of 40 by 30 pixels of 8 bits a colour."""
    header = struct.pack(">IIBBBBB", 40, 30, 8, colours, 0, 0, interlaced)
    return PNG + b"".join([chunk(b"IHDR", header), *chunks, chunk(b"IDAT", packed)]) + PNG_END


PNG_END = chunk(b"IEND", b"")
TRUE_COLOUR = zlib.compress(bytes(30 * (1 + 40 * 3)))
PALETTE = chunk(b"PLTE", SECRET[:48])


def test_nothing_is_hidden_in_a_png() -> None:
    plain = png_of(2, TRUE_COLOUR)
    assert clean(plain, MOST_PIXELS).content == plain
    told = {
        plain[:-12] + chunk(b"IEND", SECRET): len(SECRET),
        png_of(2, TRUE_COLOUR + SECRET): len(SECRET),
        png_of(2, TRUE_COLOUR)[:-12] + chunk(b"IDAT", SECRET) + PNG_END: len(SECRET),
        png_of(2, TRUE_COLOUR, chunk(b"PLTE", SECRET * 12)): 0,
        png_of(2, TRUE_COLOUR, chunk(b"tRNS", SECRET)): 0,
        plain[:-12] + chunk(b"pHYs", b"SECRETSEC") + PNG_END: 0,
    }
    for data, removed in told.items():
        kept = clean(data, MOST_PIXELS)
        assert (kept.content, kept.removed_bytes) == (plain, removed)
    sizes = [chunk(b"pHYs", bytes(9)), chunk(b"pHYs", b"SECRETSEC")]
    assert clean(before_pixels(plain, *sizes), MOST_PIXELS).content == before_pixels(
        plain, sizes[0]
    )


def test_more_pixels_than_a_png_has_are_not_kept() -> None:
    pixels = bytes(30 * (1 + 40 * 4))
    data = png_of(6, zlib.compress(pixels + SECRET, 0))
    assert b"SECRET" in data
    kept = clean(data, MOST_PIXELS).content
    assert b"SECRET" not in kept
    unchanged = cv2.imdecode(np.frombuffer(kept, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.asarray(unchanged).shape == (30, 40, 4)
    bomb = png_of(0, zlib.compress(bytes(10**8)))
    assert len(clean(bomb, MOST_PIXELS).content) < 1000


def test_palettes_and_interlaced_pngs_stay_as_they_are() -> None:
    indices = zlib.compress(bytes(30 * (1 + 40)))
    for each in (
        png_of(3, indices, PALETTE, chunk(b"tRNS", b"\0\x80")),
        # 8 lines of the first three passes together, 8, 15 of each of the last three.
        png_of(
            0,
            zlib.compress(bytes(4 * 6 + 4 * 6 + 4 * 11 + 8 * 11 + 7 * 21 + 15 * 21 + 15 * 41)),
            interlaced=1,
        ),
    ):
        assert clean(each, MOST_PIXELS).content == each


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 3000), (3000, 1), (640, 480), (161, 3)])
def test_thumbnails_are_small(width: int, height: int) -> None:
    kept = clean(pictures.encoded(pictures.noise(width, height), ".png"), MOST_PIXELS)
    tall, wide = decoded(kept.thumbnail).shape[:2]
    assert max(tall, wide) == min(160, max(width, height))
    assert min(tall, wide) >= 1


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_file_cut_anywhere_is_refused(data: bytes) -> None:
    for length in range(len(data)):
        refused(data[:length])
    assert "cut short" in refused(data[: len(data) // 2])


def test_pixels_that_are_missing_although_the_file_has_its_end() -> None:
    header = struct.pack(">IIBBBBB", 40, 30, 8, 2, 0, 0, 0)
    short = chunk(b"IDAT", zlib.compress(bytes(500)))
    data = PNG + chunk(b"IHDR", header) + short + chunk(b"IEND", b"")
    assert "cannot be decoded" in refused(data)


def test_a_flipped_bit_in_a_png_is_noticed() -> None:
    for at in range(8, len(PNG_FILE), 7):
        changed = bytearray(PNG_FILE)
        changed[at] ^= 0x10
        refused(bytes(changed))


def test_a_bomb_is_refused_by_its_header() -> None:
    data = pictures.bomb()
    assert len(data) < 65_000
    assert "50,000 x 50,000 pixels; at most 1 million" in refused(data)


def test_scans_that_take_too_long_are_refused() -> None:
    scan = PROGRESSIVE_FILE[PROGRESSIVE_FILE.rindex(b"\xff\xda") : -2]
    many = PROGRESSIVE_FILE[:-2] + scan * 80 + b"\xff\xd9"
    assert len(clean(many, MOST_PIXELS).content) < 2 * len(JPEG_FILE)
    with pytest.raises(UnreadablePicture, match=r"scans.* not a progressive one"):
        clean(many, 40 * 30)
    assert clean(PROGRESSIVE_FILE, 40 * 30)


def test_pixels_of_many_bytes_are_refused() -> None:
    deep = pictures.encoded(np.zeros((30, 40, 4), np.uint16), ".png")
    assert clean(deep, 2 * 40 * 30).content == deep
    with pytest.raises(UnreadablePicture, match=r"16 bits a colour; at most .* 8 bits a colour"):
        clean(deep, 40 * 30)


def with_frame(marker: int, bits: int = 8) -> bytes:
    """A JPEG that says that it is of another kind."""
    at = JPEG_FILE.index(b"\xff\xc0")
    return (
        JPEG_FILE[: at + 1]
        + bytes([marker])
        + JPEG_FILE[at + 2 : at + 4]
        + bytes([bits])
        + (JPEG_FILE[at + 5 :])
    )


@pytest.mark.parametrize(
    ("marker", "bits", "told"),
    [
        (0xC1, 12, "a JPEG of 12 bits a colour"),
        (0xC3, 8, "an arithmetic-coded, lossless or hierarchical JPEG"),
        (0xC9, 8, "an arithmetic-coded, lossless or hierarchical JPEG"),
        (0xC7, 8, "an arithmetic-coded, lossless or hierarchical JPEG"),
    ],
)
def test_kinds_of_jpeg_that_cannot_be_read_are_named(marker: int, bits: int, told: str) -> None:
    sentence = refused(with_frame(marker, bits))
    assert told in sentence
    assert "Save it again as an ordinary 8-bit JPEG." in sentence


def test_a_picture_that_is_too_wide_is_told_the_limit() -> None:
    for width, height in ((2**20 + 1, 1), (1, 2**20 + 1)):
        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        pixels = chunk(b"IDAT", zlib.compress(bytes(height * (1 + width))))
        told = refused(PNG + chunk(b"IHDR", header) + pixels + PNG_END)
        assert "at most 1,048,576 a side" in told


def test_a_thousand_scans_are_refused() -> None:
    scan = PROGRESSIVE_FILE[PROGRESSIVE_FILE.rindex(b"\xff\xda") : -2]
    assert "too many parts" in refused(PROGRESSIVE_FILE[:-2] + scan * 1000 + b"\xff\xd9")
    assert "too many parts" in refused(after_start(JPEG_FILE, *[segment(0xFE, b"")] * 20_000))
    assert "too many parts" in refused(before_pixels(PNG_FILE, *[chunk(b"tEXt", b"")] * 100_000))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "The file is empty (0 bytes)"),
        (b"GIF89a" + bytes(50), "This is a GIF. Save it as JPEG or PNG"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "This is a WebP"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "This is a HEIC photo, as iPhones take them"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "This is an AVIF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "This is a video"),
        (b"BM" + bytes(60), "This is a BMP"),
        (b"II*\0" + bytes(60), "This is a TIFF"),
        (b"%PDF-1.7", "This is a PDF document"),
        (b"PK\x03\x04" + bytes(60), "This is a ZIP archive"),
        (b"\n<!DOCTYPE html><img src=cat.jpg>", "This is a web page (HTML)"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "This is an SVG drawing"),
        ("Grüße".encode(), "This is text and no picture"),
        (("ü" * 2000).encode()[1:], "neither a JPEG nor a PNG"),
        (("a" + "ü" * 2000).encode(), "This is text and no picture"),
        (bytes(range(256)), "neither a JPEG nor a PNG"),
        (b"\xff\xd8\xff", "cut short"),
        (b"\xff\xd8\xff\xe0\x00\x02" + bytes(50) + b"\xff\xd9", "no segment begins at byte 6"),
        (PNG_FILE[:8] + chunk(b"CgBI", bytes(4)) + PNG_FILE[8:], "header is not where"),
        (before_pixels(PNG_FILE, chunk(b"CgBI", b"")), "more than the PNG standard"),
    ],
)
def test_a_file_that_is_no_picture_is_told_what_it_is(data: bytes, told: str) -> None:
    assert told in refused(data)


def cleaned(data: bytes) -> CleanPicture | None:
    """None: there is a sentence instead."""
    sentence = ""
    try:
        return clean(data, MOST_PIXELS)
    except UnreadablePicture as error:
        sentence = error.detail
    assert sentence.endswith(".")
    return None


@settings(deadline=None)
@given(some.binary(max_size=200), some.sampled_from([b"", PNG, b"\xff\xd8\xff", JPEG_FILE[:20]]))
def test_any_bytes_become_a_picture_or_a_sentence(data: bytes, beginning: bytes) -> None:
    cleaned(beginning + data)


@settings(deadline=None)
@given(
    some.sampled_from(sorted(FILES)),
    some.lists(some.tuples(some.integers(2, 10**6), some.binary(max_size=6)), max_size=8),
    some.booleans(),
)
def test_a_damaged_picture_becomes_a_picture_or_a_sentence(
    name: str, damages: list[tuple[int, bytes]], inserted: bool
) -> None:
    data = bytearray(FILES[name])
    for where, what in damages:
        at = where % len(data)
        data[at : at if inserted else at + len(what)] = what
    kept = cleaned(bytes(data))
    assert kept is None or clean(kept.content, MOST_PIXELS).content == kept.content


def test_opencv_is_loaded_when_it_is_needed() -> None:
    code = "import sys, shared.datasets.cleaning; sys.exit('cv2' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_no_more_than_two_pictures_are_decoded_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, lock, most = 0, threading.Lock(), 0
    plain: Any = cv2.imdecode

    def noting(data: Any, flag: int) -> Any:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.02)
        pixels = plain(data, flag)
        with lock:
            at_once -= 1
        return pixels

    monkeypatch.setattr(cv2, "imdecode", noting)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: clean(JPEG_FILE, MOST_PIXELS), range(16)))
    assert most == 2
