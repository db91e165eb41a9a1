"""Small files in MNIST's format, and pictures to put into them."""

import gzip
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

PARTS = ("train", "t10k")
#: Of the pictures that :func:`digits` gives.
SIDE = 28


def idx(array: npt.NDArray[Any]) -> bytes:
    """The content of an IDX file of unsigned bytes."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_part(
    directory: Path, part: str, pictures: Any, labels: Any, compressed: bool = False
) -> None:
    """Write both files of one part, ``train`` or ``t10k``."""
    directory.mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", pictures), ("labels-idx1", labels)):
        content, name = idx(array), f"{part}-{kind}-ubyte"
        if compressed:
            content, name = gzip.compress(content, 1), f"{name}.gz"
        (directory / name).write_bytes(content)


def write_mnist(
    directory: Path, train: int = 20, test: int = 10, side: int = SIDE, compressed: bool = False
) -> None:
    """Write the four files with noise: picture n has n in its first pixel, and the label n % 10."""
    random = np.random.default_rng(1)
    for part, count in zip(PARTS, (train, test), strict=True):
        pictures = random.integers(0, 256, (count, side, side), np.uint8)
        pictures[:, 0, 0] = np.arange(count) % 256
        write_part(directory, part, pictures, np.arange(count) % 10, compressed)


def write_digits(directory: Path, test: int = 360) -> None:
    """Write the four files with scikit-learn's 1,797 handwritten digits, 28 pixels a side."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    size = (SIDE, SIDE)
    small = (bunch.images * (255 / 16)).astype(np.uint8)
    pictures = np.stack([cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in small])
    order = np.random.default_rng(1).permutation(len(pictures))
    for part, rows in zip(PARTS, (order[test:], order[:test]), strict=True):
        write_part(directory, part, pictures[rows], bunch.target[rows])
