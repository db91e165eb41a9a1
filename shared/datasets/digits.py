"""The built-in data set: scikit-learn's 1,797 handwritten digits, dealt unevenly to devices.

A digit is at home on one device (with two devices: 0-4 on the first, 5-9 on the
second), which gets nearly all its training and validation pictures. The test
pictures are dealt evenly. So a device alone does poorly and a federation does well.

Which pictures are for training, validation and testing does not depend on the
devices: another deal never turns a training picture into a test picture.
"""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from shared.errors import FedbellError

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
Pixels = npt.NDArray[np.uint8]


class DigitsChanged(FedbellError):
    """A folder of digits that should be dealt anew holds something else than was dealt."""

    status = 409
    title = "The digits were not dealt anew"


def write_digits(directory: Path, devices: Sequence[str] = ("device1", "device2")) -> list[str]:
    """Write ``<directory>/<device>/digits/{train,valid,test}/<digit>/NNNN.png``.

    A finished folder is marked, and left alone while the deal is the same. One dealt to
    other devices is replaced if it still holds exactly what was dealt; one that somebody
    else made is never touched.

    Args:
        directory: the data set folder, made when missing.
        devices: names of all the devices, each once; their order decides who gets what.

    Returns:
        The devices whose folders were written now.

    Raises:
        DigitsChanged: a folder that should be replaced holds something else; every
            folder is as it was.
    """
    for name in devices:
        _clean_up(directory / name / TASK)
    recipe = json.dumps({"recipe": _RECIPE, "devices": list(devices)})
    outdated = [name for name in devices if _is_outdated(directory / name / TASK, recipe)]
    if not outdated:
        return []
    # Imported late: it takes a second and memory that a device's server never needs.
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    for name in outdated:
        folder = directory / name / TASK
        if folder.exists():
            _check_as_dealt(folder, folder, name, digits.target, pixels)
    by_device: dict[str, Deal] = defaultdict(dict)
    for key, indices in deal(digits.target, devices).items():
        by_device[key[0]][key] = indices
    for name in outdated:
        folder = directory / name / TASK
        aside = _write_aside(folder, by_device[name], pixels, recipe)
        if folder.exists():
            former = _former(folder)
            folder.rename(former)
            try:
                # Again, where nobody puts a picture any more.
                _check_as_dealt(former, folder, name, digits.target, pixels)
            except DigitsChanged:
                former.rename(folder)
                raise
        aside.rename(folder)
        shutil.rmtree(_former(folder), ignore_errors=True)
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


def _check_as_dealt(
    folder: Path, place: Path, device: str, labels: npt.NDArray[np.int64], pixels: Pixels
) -> None:
    """Raise DigitsChanged unless ``folder``, of ``place``, holds what its marker says was dealt."""
    told = json.loads((folder / _MARKER).read_text())
    expected = {Path(_MARKER): -1}
    # What an older recipe dealt is not known any more, so such a folder is kept.
    if told["recipe"] == _RECIPE:
        for key, indices in deal(labels, told["devices"]).items():
            if key[0] == device:
                expected |= {_place(*key[1:], index): index for index in indices}
    found = set(_files(folder))
    changed = found ^ set(expected) or {
        path
        for path in found
        if expected[path] >= 0 and not _shows(folder / path, pixels[expected[path]])
    }
    if folder.is_symlink() or changed:
        raise DigitsChanged(
            f"{place} holds something else than the digits that were dealt to it "
            f"({min(changed, default=place)}), so no digits were dealt anew and nothing was "
            "changed. Move pictures of your own to another task's folder; or delete "
            f"{place / _MARKER} to keep the folder as it is. Then run this again."
        )


def _files(folder: Path) -> Iterator[Path]:
    """Everything in a folder, at any depth, that is no folder; links are not followed."""
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in (*links, *files):
            yield Path(parent, name).relative_to(folder)


def _shows(path: Path, pixels: Pixels) -> bool:
    """Whether a file is a picture of exactly these pixels."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return picture is not None and np.array_equal(picture, pixels)


def _place(split: str, digit: int, index: int) -> Path:
    return Path(split, str(digit), f"{index:04}.png")


def _write_aside(folder: Path, places: Deal, pixels: Pixels, recipe: str) -> Path:
    """Write one device's pictures next to where they will be; the folder they are in."""
    aside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    for (_, split, digit), indices in places.items():
        (aside / split / str(digit)).mkdir(parents=True)
        for index in indices:
            path = aside / _place(split, digit, index)
            if not cv2.imwrite(str(path), pixels[index]):
                raise OSError(f"{path} could not be written")
    (aside / _MARKER).write_text(recipe)
    return aside


def _former(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.former")


def _clean_up(folder: Path) -> None:
    """End what a kill broke off: a folder moved away is put back, or removed if replaced."""
    former = _former(folder)
    if former.exists():
        if folder.exists():
            shutil.rmtree(former)
        else:
            former.rename(folder)
