"""The built-in data set: scikit-learn's 1,797 handwritten digits, dealt unevenly to devices.

A digit is at home on one device (with two devices: 0-4 on the first, 5-9 on the
second), which gets nearly all its training and validation pictures. The test
pictures are dealt evenly. So a device alone does poorly and a federation does well.

Which pictures are for training, validation and testing does not depend on the
devices: another deal never turns a training picture into a test picture.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

#: Of each digit's training and validation pictures, this part goes to its home device.
HOME_SHARE = 0.95
#: Of each digit's pictures; the rest is for training.
TEST_SHARE, VALID_SHARE = 0.2, 0.1

TASK = "digits"
_MARKER = ".complete"
_SEED = 1797
#: Raise it when the same devices shall get other pictures than before.
_RECIPE = 1

#: From (device, split, digit) to indices into scikit-learn's data set.
Deal = dict[tuple[str, str, int], list[int]]


def write_digits(directory: Path, devices: Sequence[str] = ("device1", "device2")) -> list[str]:
    """Write ``<directory>/<device>/digits/{train,valid,test}/<digit>/NNNN.png``.

    A finished folder is marked, and left alone while the deal is the same; one
    dealt to other devices is replaced; one that somebody else made is never touched.

    Args:
        directory: the data set folder, made when missing.
        devices: names of all the devices, each once; their order decides who gets what.

    Returns:
        The devices whose folders were written now.
    """
    recipe = json.dumps({"recipe": _RECIPE, "devices": list(devices)})
    outdated = [name for name in devices if _is_outdated(directory / name / TASK, recipe)]
    if not outdated:
        return []
    # Imported late: it takes a second and memory that a device's server never needs.
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    by_device: dict[str, Deal] = defaultdict(dict)
    for key, indices in deal(digits.target, devices).items():
        by_device[key[0]][key] = indices
    for device in outdated:
        _write(directory / device / TASK, by_device[device], pixels, recipe)
    return outdated


def deal(labels: npt.NDArray[np.int64], devices: Sequence[str]) -> Deal:
    """Deal the pictures of ten digits, shape (n,), to devices. Each goes to one place."""
    random = np.random.default_rng(_SEED)
    dealt: Deal = defaultdict(list)
    for digit in range(10):
        indices = random.permutation(np.flatnonzero(labels == digit)).tolist()
        tests, valids = (
            round(len(indices) * TEST_SHARE),
            round(len(indices) * VALID_SHARE),
        )
        home = digit * len(devices) // 10
        others = [name for place, name in enumerate(devices) if place != home]
        for place, index in enumerate(indices[:tests]):
            dealt[devices[place % len(devices)], "test", digit].append(index)
        for split, part in (
            ("valid", indices[tests : tests + valids]),
            ("train", indices[tests + valids :]),
        ):
            at_home = round(len(part) * HOME_SHARE) if others else len(part)
            dealt[devices[home], split, digit] += part[:at_home]
            for place, index in enumerate(part[at_home:]):
                dealt[others[(digit + place) % len(others)], split, digit].append(index)
    return dealt


def _is_outdated(folder: Path, recipe: str) -> bool:
    if not folder.exists():
        return True
    marker = folder / _MARKER
    return marker.exists() and marker.read_text() != recipe


def _write(folder: Path, places: Deal, pixels: npt.NDArray[np.uint8], recipe: str) -> None:
    """Write one device's pictures aside and put them in place at once."""
    aside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    for (_, split, digit), indices in places.items():
        (aside / split / str(digit)).mkdir(parents=True)
        for index in indices:
            path = aside / split / str(digit) / f"{index:04}.png"
            if not cv2.imwrite(str(path), pixels[index]):
                raise OSError(f"{path} could not be written")
    (aside / _MARKER).write_text(recipe)
    if folder.exists():
        shutil.rmtree(folder)
    aside.rename(folder)
