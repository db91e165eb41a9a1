"""The pictures the built-in backbone is trained on, read from their archives and varied."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from shared.learning.loading import tf

CIFAR = Path("cifar10/cifar10_jpg.zip")
SYMBOLS = Path("math_symbols/bhmsds_class_folders.zip")

#: Side of every picture as kept in memory, in pixels: CIFAR-10's own.
SIDE = 32
#: Every tenth symbol is kept apart for measuring.
_TEST_EVERY = 10
#: About the detail of a very small scan; half of the symbols are shown as coarse as this.
_COARSE_SIDE = 10

#: Class name and picture, uint8 (32, 32, 3) RGB.
Labelled = tuple[str, npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Pictures:
    """Pictures uint8 (n, 32, 32, 3) RGB and their labels int64 (n,)."""

    pictures: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Collection:
    """What to train on and what to measure on. Labels below ``first_symbol`` are photos."""

    train: Pictures
    test: Pictures
    first_symbol: int
    num_classes: int


def read_collection(assets: Path) -> Collection:
    """CIFAR-10 and the handwritten symbols under ``assets``, labelled as one set of classes.

    Raises:
        FileNotFoundError: one of the two archives is not there.
    """
    train, test = _read(assets / CIFAR, "train/"), _read(assets / CIFAR, "test/")
    symbols = _read(assets / SYMBOLS, "")
    photo_classes = sorted({name for name, _ in train})
    classes = photo_classes + sorted({f"symbol {name}" for name, _ in symbols})
    for index, (name, picture) in enumerate(symbols):
        (train if index % _TEST_EVERY else test).append((f"symbol {name}", picture))
    return Collection(
        _stack(train, classes), _stack(test, classes), len(photo_classes), len(classes)
    )


def vary(pictures: Any, is_symbol: Any, size: int, seed: Any) -> Any:
    """Show each picture a little differently, and scale it up.

    Photos are cropped and mirrored; symbols are moved, made coarse and inverted, never
    mirrored: a mirrored 3 is no 3.

    Args:
        pictures: uint8 (n, 32, 32, 3).
        is_symbol: bool (n,).
        size: side of the result in pixels.
        seed: int32 (2,); equal seeds vary equally.

    Returns:
        float32 (n, size, size, 3) in 0..255.
    """
    count = tf.shape(pictures)[0]
    chance = tf.random.stateless_uniform([6, count], seed)
    side = tf.where(is_symbol, 0.85 + 0.35 * chance[0], 0.65 + 0.35 * chance[0])
    # Symbols may be cut outside their edge: there it is black, as their background.
    top, left = (1 - side) * chance[1], (1 - side) * chance[2]
    boxes = tf.stack([top, left, top + side, left + side], axis=1)
    pixels = tf.cast(pictures, tf.float32)
    cut = tf.image.crop_and_resize(pixels, boxes, tf.range(count), [size, size])
    coarse = tf.image.resize(pixels, [_COARSE_SIDE, _COARSE_SIDE], antialias=True)
    coarse = tf.image.crop_and_resize(coarse, boxes, tf.range(count), [size, size])

    def choose(condition: Any, yes: Any, no: Any) -> Any:
        return tf.where(condition[:, None, None, None], yes, no)

    cut = choose(is_symbol & (chance[3] < 0.5), coarse, cut)
    cut = choose(is_symbol & (chance[4] < 0.5), 255 - cut, cut)
    cut = choose(~is_symbol & (chance[4] < 0.5), tf.reverse(cut, [2]), cut)
    contrast = 0.7 + 0.6 * chance[5][:, None, None, None]
    return tf.clip_by_value((cut - 127.5) * contrast + 127.5, 0, 255)


def _read(archive: Path, prefix: str) -> list[Labelled]:
    """The pictures of an archive whose names begin with ``prefix``, in order of name."""
    found = []
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(opened.namelist()):
            if name.startswith(prefix) and name.endswith((".jpg", ".png")):
                data = np.frombuffer(opened.read(name), np.uint8)
                picture = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
                if picture is None:
                    raise ValueError(f"{name} in {archive} is no picture")
                found.append((PurePosixPath(name).parent.name, _fit(picture.astype(np.uint8))))
    return found


def _fit(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Symbols are 28 pixels black on white: make them white on black with a margin."""
    margin = (SIDE - picture.shape[0]) // 2
    if margin:
        picture = np.pad(255 - picture, ((margin, margin), (margin, margin), (0, 0)))
    return picture


def _stack(labelled: Sequence[Labelled], classes: Sequence[str]) -> Pictures:
    label = {name: index for index, name in enumerate(classes)}
    return Pictures(
        np.stack([picture for _, picture in labelled]),
        np.array([label[name] for name, _ in labelled], np.int64),
    )
