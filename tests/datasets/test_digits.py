import hashlib
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.datasets import read_split, write_digits

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
