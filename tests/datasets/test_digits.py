import hashlib
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.datasets import DigitsChanged, read_split, write_digits
from tests.server import ROOT

WritePicture = Callable[..., Path]

DIGITS = [str(digit) for digit in range(10)]
SPLITS = ("train", "valid", "test")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dataset")
    assert write_digits(directory) == ["device1", "device2"]
    return directory


def _tree(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_every_picture_lies_in_one_place(digits: Path) -> None:
    pictures = [
        picture
        for device in ("device1", "device2")
        for split in SPLITS
        for picture in read_split(digits / device / "digits" / split, DIGITS)
    ]
    assert len(pictures) == 1797
    assert len({picture.sha256 for picture in pictures}) == 1797


def test_training_is_uneven_and_testing_even(digits: Path) -> None:
    for device, own in (("device1", range(5)), ("device2", range(5, 10))):
        for split in ("train", "valid"):
            pictures = read_split(digits / device / "digits" / split, DIGITS)
            at_home = sum(picture.label in own for picture in pictures) / len(pictures)
            assert 0.9 < at_home < 1
        tests = Counter(
            picture.label for picture in read_split(digits / device / "digits" / "test", DIGITS)
        )
        assert len(tests) == 10
        assert max(tests.values()) - min(tests.values()) <= 2


def test_it_is_the_same_every_time_and_done_once(digits: Path, tmp_path: Path) -> None:
    write_digits(tmp_path)
    assert _tree(tmp_path) == _tree(digits)
    assert write_digits(tmp_path) == []


def test_a_broken_off_writing_is_completed(digits: Path, tmp_path: Path) -> None:
    write_digits(tmp_path)
    task = tmp_path / "device2" / "digits"
    task.rename(task.with_name(".digits.partial"))
    shutil.rmtree(task.with_name(".digits.partial") / "test")
    assert write_digits(tmp_path) == ["device2"]
    assert _tree(tmp_path) == _tree(digits)


def test_another_number_of_devices_keeps_test_pictures_test_pictures(
    digits: Path, tmp_path: Path
) -> None:
    def hashes(directory: Path, split: str) -> set[str]:
        return {
            picture.sha256
            for device in directory.iterdir()
            for picture in read_split(device / "digits" / split, DIGITS)
        }

    devices = ["device1", "device2", "device3"]
    write_digits(tmp_path)
    assert write_digits(tmp_path, devices) == devices
    for split in SPLITS:
        assert hashes(tmp_path, split) == hashes(digits, split)
    assert write_digits(tmp_path / "alone", ["device1"]) == ["device1"]


def test_somebodys_own_folder_is_left_alone(tmp_path: Path, write_picture: WritePicture) -> None:
    own = write_picture(tmp_path / "device1" / "digits" / "train" / "0" / "mine.png")
    assert write_digits(tmp_path) == ["device2"]
    assert list((tmp_path / "device1").rglob("*.png")) == [own]


THREE = ("device1", "device2", "device3")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "train" / "3" / "mine.jpg").write_bytes(b"my only picture"),
        lambda folder: (folder / "notes").mkdir() or (folder / "notes" / ".txt").touch(),
        lambda folder: (folder / "train" / "link").symlink_to(folder / "test"),
        lambda folder: shutil.copy(_first_digit(folder / "test"), _first_digit(folder / "train")),
        lambda folder: _first_digit(folder).unlink(),
    ],
    ids=["a picture", "another file", "a link", "a picture drawn over", "a picture taken out"],
)
def test_a_dealt_folder_that_was_changed_is_kept(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    write_digits(tmp_path)
    folder = tmp_path / "device2" / "digits"
    change(folder)
    before = _tree(tmp_path)
    with pytest.raises(DigitsChanged) as caught:
        write_digits(tmp_path, THREE)
    assert f"{folder} holds something else" in caught.value.detail
    assert str(folder / ".complete") in caught.value.detail
    assert _tree(tmp_path) == before
    assert write_digits(tmp_path) == []
    (folder / ".complete").unlink()  # the way out
    assert write_digits(tmp_path, THREE) == ["device1", "device3"]


def _first_digit(folder: Path) -> Path:
    return min(folder.rglob("*.png"))


KILLED = """
import os, shutil, sys
from pathlib import Path
from shared.datasets import write_digits

left = int(sys.argv[2])

def dying(work):
    def step(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return work(*arguments, **options)
    return step

Path.rename = dying(Path.rename)
os.unlink = os.remove = dying(os.unlink)
os.rmdir = dying(os.rmdir)
write_digits(Path(sys.argv[1]), ("device1", "device2", "device3"))
"""


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 9])
def test_killed_while_dealing_anew_nothing_is_lost(
    digits: Path, tmp_path: Path, steps: int
) -> None:
    """Before the first folder is moved away, after that, before and while it is removed."""
    shutil.copytree(digits, tmp_path, dirs_exist_ok=True)
    own = tmp_path / "device1" / "parcels" / "train" / "parcel" / "1.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"a parcel")
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(steps)]
    assert subprocess.run(command, cwd=ROOT, check=False, timeout=60).returncode == 9
    write_digits(tmp_path, THREE)
    own.unlink()
    write_digits(tmp_path / "anew", THREE)
    anew = _tree(tmp_path / "anew")
    shutil.rmtree(tmp_path / "anew")
    assert _tree(tmp_path) == anew


def test_a_folder_that_was_moved_away_is_put_back(tmp_path: Path) -> None:
    """A picture that came after the kill is kept like any other."""
    write_digits(tmp_path)
    folder = tmp_path / "device1" / "digits"
    (folder / "train" / "3" / "mine.png").write_bytes(b"mine")
    before = _tree(tmp_path)
    folder.rename(folder.with_name(".digits.former"))
    with pytest.raises(DigitsChanged):
        write_digits(tmp_path, THREE)
    assert _tree(tmp_path) == before
    assert list((tmp_path / "device1").iterdir()) == [folder]
