import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from shared.datasets import RECIPE, decode
from shared.errors import UnreadablePicture

WritePicture = Callable[..., Path]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize(("width", "height"), [(8, 8), (300, 200), (40, 2000), (1600, 1700)])
def test_a_square_of_rgb(
    tmp_path: Path, write_picture: WritePicture, suffix: str, width: int, height: int
) -> None:
    path = write_picture(tmp_path / f"a{suffix}", (10, 20, 200), width, height)
    pixels = decode(path, 64)
    assert pixels.shape == (64, 64, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - (200, 20, 10)).max() <= 3


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_pictures_become_rgb(tmp_path: Path, channels: int) -> None:
    picture = np.full((9, 9, channels), 77, np.uint8)
    assert cv2.imwrite(str(tmp_path / "a.png"), picture)
    assert (decode(tmp_path / "a.png", 32) == 77).all()


def _turned(path: Path, orientation: int) -> None:
    """Write a JPEG that is red on its left, blue on its right, as stored; EXIF says how to turn."""
    picture = np.zeros((320, 480, 3), np.uint8)
    picture[:, :240], picture[:, 240:] = (0, 0, 255), (255, 0, 0)
    ok, data = cv2.imencode(".jpg", picture)
    assert ok
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path.write_bytes(data.tobytes()[:2] + segment + data.tobytes()[2:])


@pytest.mark.parametrize("size", [32, 224])  # decoded to an eighth, and whole
@pytest.mark.parametrize(
    ("orientation", "red"),
    [(1, "left"), (2, "right"), (3, "right"), (4, "left"), (5, "top"), (6, "top"), (8, "bottom")],
)
def test_a_photo_is_turned_as_its_camera_says(
    tmp_path: Path, size: int, orientation: int, red: str
) -> None:
    _turned(tmp_path / "a.jpg", orientation)
    pixels = decode(tmp_path / "a.jpg", size).astype(int)
    quarter = size // 4
    sides = {
        "left": pixels[:, :quarter],
        "right": pixels[:, -quarter:],
        "top": pixels[:quarter],
        "bottom": pixels[-quarter:],
    }
    opposite = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}[red]
    assert np.abs(sides[red] - (254, 0, 0)).max() < 8
    assert np.abs(sides[opposite] - (0, 0, 254)).max() < 8


def test_the_recipe_is_that_of_these_pixels(tmp_path: Path) -> None:
    """When this fails because decoding changed, RECIPE changes too: kept features are of old."""
    ramp = np.arange(64, dtype=np.uint8) * 4
    assert cv2.imwrite(str(tmp_path / "large.png"), np.broadcast_to(ramp, (64, 64)))
    assert cv2.imwrite(str(tmp_path / "small.png"), np.array([[0, 200], [100, 40]], np.uint8))
    large, small = (decode(tmp_path / f"{name}.png", 4)[..., 0] for name in ("large", "small"))
    told = {"square-2": ([30, 94, 158, 222], [[0, 50, 150, 200], [25, 59, 126, 160]])}
    np.testing.assert_allclose(large[0], told[RECIPE][0], atol=1)
    np.testing.assert_allclose(small[:2], told[RECIPE][1], atol=1)


@pytest.mark.parametrize(
    ("width", "height", "side"), [(1920, 1080, 270), (640, 480, 240), (230, 400, 230)]
)
def test_large_photos_are_decoded_at_a_reduced_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, height: int, side: int
) -> None:
    """To no less than the network sees, and nearly the same pixels."""
    x, y = np.meshgrid(np.linspace(0, 6, width), np.linspace(0, 9, height))
    waves = np.stack([np.sin(x), np.cos(y), np.sin(x + y)], axis=2) * 100 + 127
    path = tmp_path / "photo.jpg"
    assert cv2.imwrite(str(path), waves.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95])
    decoded = []
    plain: Any = cv2.imdecode

    def noting(data: Any, flag: int) -> Any:
        decoded.append(plain(data, flag))
        return decoded[-1]

    monkeypatch.setattr(cv2, "imdecode", noting)
    pixels = decode(path, 224).astype(np.float64)
    assert min(decoded[0].shape[:2]) == side
    whole = cv2.resize(
        plain(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR),
        (224, 224),
        interpolation=cv2.INTER_AREA,
    )[..., ::-1]
    assert np.abs(pixels - whole).mean() < 2


def test_content_counts_and_not_the_name(tmp_path: Path, write_picture: WritePicture) -> None:
    write_picture(tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert decode(tmp_path / "a.jpg", 32).shape == (32, 32, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
    path = tmp_path / f"a{suffix}"
    assert cv2.imwrite(str(path), noise)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 8, 13):
        path.write_bytes(whole[:length])
        with pytest.raises(UnreadablePicture) as caught:
            decode(path, 32)
        assert str(path) in caught.value.detail


def test_a_damaged_jpeg_with_both_ends_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00\x02" + bytes(50) + b"\xff\xd9")
    with pytest.raises(UnreadablePicture, match="damaged"):
        decode(tmp_path / "a.jpg", 32)


def test_text_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture")
    for path in (tmp_path / "a.jpg", tmp_path / "missing.jpg", tmp_path):
        with pytest.raises(UnreadablePicture):
            decode(path, 32)


def test_too_many_pixels_are_refused_by_the_header(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = b""
    for kind, body in ((b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")):
        chunks += struct.pack(">I", len(body)) + kind + body
        chunks += struct.pack(">I", zlib.crc32(kind + body))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(UnreadablePicture, match="100 million"):
        decode(tmp_path / "a.png", 32)


def test_real_photos(test_data: Path) -> None:
    photos = sorted((test_data / "cats_dogs" / "original_sample" / "cats").iterdir())[:5]
    for photo in photos:
        assert decode(photo, 96).std() > 5
