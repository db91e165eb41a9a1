"""What a device keeps of uploaded pictures: rows, files, splits, limits."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from shared.datasets.cleaning import CleanPicture
from shared.device.settings import DeviceSettings
from shared.device.store import Store
from shared.device.uploads import Uploads
from shared.device.uploads.classes import UnknownClass
from shared.device.uploads.disk import DiskFull
from shared.errors import ConfigurationError
from shared.federated.task import Task
from shared.web.problems import NotFound

TASK = Task(name="pets", classes=("cat", "dog"))
OTHER = Task(name="parcels", classes=("parcel", "no_parcel"))

Open = Callable[..., Uploads]


def device_settings(directory: Path, **values: Any) -> DeviceSettings:
    """Of a device whose state lies in ``directory``."""
    address = "http://127.0.0.1:1"
    return DeviceSettings.load(
        device_name="door",
        device_url=address,
        main_server_url=address,
        dataset_directory=directory,
        state_directory=directory,
        **values,
    )


@pytest.fixture
def open_uploads(tmp_path: Path) -> Open:
    """Opens what is kept, as a start of the device does."""

    def open_them(**values: Any) -> Uploads:
        return Uploads(device_settings(tmp_path, **values), Store(tmp_path, "door").database)

    return open_them


def picture(number: int, size: int = 100) -> CleanPicture:
    content = b"%0*d" % (size, number)
    return CleanPicture(content, "jpeg", 4, 3, 0, b"thumbnail")


def files(uploads: Uploads) -> set[str]:
    return {file.stem for file in uploads.directory.glob("*/*")}


def test_the_fifth_is_for_the_test_and_the_tenth_for_validation(open_uploads: Open) -> None:
    uploads = open_uploads()
    splits = [
        uploads.add(TASK, picture(number), f"cat.{number}.jpg", None).picture.split
        for number in range(1, 31)
    ]
    assert [number for number, split in enumerate(splits, 1) if split == "test"] == [5, 15, 25]
    assert [number for number, split in enumerate(splits, 1) if split == "valid"] == [10, 20, 30]
    assert uploads.add(TASK, picture(99), "dog.jpg", None).picture.split == "train"
    assert uploads.counts(TASK) == {
        "cat": {"train": 24, "valid": 3, "test": 3},
        "dog": {"train": 1},
    }
    assert uploads.counts(OTHER) == {}


@settings(deadline=None, max_examples=30)
@given(some.lists(some.booleans(), max_size=60))
def test_splits_stay_in_proportion_whatever_is_deleted(steps: list[bool]) -> None:
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        database = Store(directory, "door").database
        uploads = Uploads(device_settings(directory), database)
        here: list[str] = []
        for number, is_added in enumerate(steps):
            if is_added:
                here.append(uploads.add(TASK, picture(number), "cat.jpg", None).picture.sha256)
            elif here:
                uploads.delete(TASK.name, here.pop(number % len(here)))
        numbers = uploads.counts(TASK).get("cat", {})
        assert sum(numbers.values()) == len(here) == len(files(uploads))
        for split in ("test", "valid"):
            assert numbers.get(split, 0) <= (steps.count(True) + 5) // 10
        database.close()


def test_what_the_trainer_gets(open_uploads: Open) -> None:
    uploads = open_uploads()
    first = uploads.add(TASK, picture(1), "dog.jpg", None).picture
    uploads.add(TASK, picture(2), "who knows.jpg", None)
    uploads.keep_tried(TASK, picture(3), "cat.jpg")
    second = uploads.add(TASK, picture(4), "x.jpg", "cat").picture
    uploads.change(TASK, second.sha256, split="test")
    told = uploads.for_trainer(TASK)
    assert told == {
        "train": [[str(uploads.path(first)), 1, first.sha256]],
        "test": [[str(uploads.path(second)), 0, second.sha256]],
    }
    assert Path(str(told["train"][0][0])).read_bytes() == picture(1).content
    assert Path(str(told["train"][0][0])).is_absolute()
    assert (uploads.total(TASK), uploads.unlabelled(TASK), uploads.untrained(TASK)) == (3, 1, 2)
    assert uploads.for_trainer(OTHER) == {}


def test_a_class_that_the_task_has_no_more_is_no_label(open_uploads: Open) -> None:
    uploads = open_uploads()
    row = uploads.add(TASK, picture(1), "dog.jpg", None).picture
    without = Task(name="pets", classes=("cat", "bird"))
    assert uploads.for_trainer(without) == {}
    assert (uploads.counts(without), uploads.unlabelled(without)) == ({}, 1)
    again = uploads.add(without, picture(1), "bird.jpg", None)
    assert (again.is_known, again.picture.label) == (True, "bird")
    assert uploads.change(TASK, row.sha256, label="cat").label == "cat"


def test_what_was_trained_with_another_label_is_not_trained(open_uploads: Open) -> None:
    uploads = open_uploads()
    rows = [uploads.add(TASK, picture(number), "cat.jpg", None).picture for number in range(3)]
    begin = time.time()
    uploads.change(TASK, rows[0].sha256, label="dog")
    uploads.mark_trained(TASK, [row.sha256 for row in rows[:2]], begin)
    uploads.mark_trained(TASK, [])
    assert uploads.untrained(TASK) == 2
    uploads.mark_trained(TASK, [row.sha256 for row in rows])
    assert uploads.untrained(TASK) == 0
    uploads.change(TASK, rows[1].sha256, label="cat", split="train")  # as it was
    assert uploads.untrained(TASK) == 0
    uploads.change(TASK, rows[1].sha256, label="dog")
    assert uploads.untrained(TASK) == 1


def test_of_pictures_tried_the_newest_stay_until_they_are_labelled(open_uploads: Open) -> None:
    uploads = open_uploads()
    first = uploads.keep_tried(TASK, picture(0), "cat.jpg")
    assert uploads.change(TASK, first.sha256, label="dog").tried is False
    tried = [uploads.keep_tried(TASK, picture(number), "x.jpg") for number in range(1, 26)]
    uploads.keep_tried(OTHER, picture(1), "x.jpg")
    assert files(uploads) == {row.sha256 for row in [first, tried[0], *tried[5:]]}
    assert [row.sha256 for row in uploads.page(TASK)] == [first.sha256]
    added = uploads.add(TASK, picture(25), "cat.jpg", None)
    assert (added.is_known, added.picture.label, added.picture.tried) == (False, "cat", False)
    assert uploads.keep_tried(TASK, picture(25), "x.jpg").label == "cat"
    assert uploads.total(TASK) == 2


def test_a_class_or_picture_that_is_not_there(open_uploads: Open) -> None:
    uploads = open_uploads()
    row = uploads.add(TASK, picture(1), "cat.jpg", None).picture
    with pytest.raises(UnknownClass, match="Its classes are: cat, dog"):
        uploads.change(TASK, row.sha256, label="bird")
    with pytest.raises(NotFound):
        uploads.change(OTHER, row.sha256, label="parcel")
    with pytest.raises(NotFound):
        uploads.delete(OTHER.name, row.sha256)
    assert uploads.find("pets", row.sha256).label == "cat"


def test_only_so_much_disk_is_taken(open_uploads: Open) -> None:
    uploads = open_uploads(picture_store_bytes=250)
    for number in range(2):
        uploads.add(TASK, picture(number), "cat.jpg", None)
    with pytest.raises(DiskFull, match="picture_store_bytes"):
        uploads.add(TASK, picture(2), "cat.jpg", None)
    assert uploads.add(TASK, picture(1), "cat.jpg", None).is_known
    assert len(files(uploads)) == 2
    uploads.delete(TASK.name, picture(1).sha256)
    uploads = open_uploads(picture_store_bytes=250)  # a start counts anew
    uploads.add(TASK, picture(3), "cat.jpg", None)
    with pytest.raises(DiskFull):
        uploads.add(TASK, picture(4), "cat.jpg", None)


def test_pictures_of_a_task_that_is_gone_can_be_deleted(open_uploads: Open) -> None:
    uploads = open_uploads()
    assert uploads.bytes == 0
    for number in range(3):
        uploads.add(TASK, picture(number), "cat.jpg", None)
    tried = uploads.keep_tried(TASK, picture(3), "cat.jpg")
    stays = uploads.add(OTHER, picture(4), "parcel.jpg", None).picture
    assert uploads.bytes == 500
    assert uploads.of_gone_tasks(["pets", "parcels"]) == {}
    assert uploads.of_gone_tasks(["parcels"]) == {"pets": 4}
    uploads.delete("pets", tried.sha256)
    assert uploads.delete_all("pets") == 3
    assert uploads.delete_all("pets") == 0
    assert uploads.of_gone_tasks([]) == {"parcels": 1}
    assert (uploads.bytes, files(uploads)) == (100, {stays.sha256})


def test_some_of_the_disk_stays_free(open_uploads: Open) -> None:
    uploads = open_uploads(least_free_bytes=2**60)
    with pytest.raises(DiskFull, match="least_free_bytes"):
        uploads.add(TASK, picture(1), "cat.jpg", None)
    assert not files(uploads)
    assert uploads.total(TASK) == 0


def test_files_without_a_row_are_removed_at_the_start(open_uploads: Open) -> None:
    uploads = open_uploads()
    row = uploads.add(TASK, picture(1), "cat.jpg", None).picture
    for name in (f".{row.file}.abc", "f" * 64 + ".png"):
        (uploads.directory / "pets" / name).write_bytes(b"begun")
    uploads = open_uploads()
    assert [file.name for file in (uploads.directory / "pets").iterdir()] == [row.file]
    assert uploads.thumbnail("pets", row.sha256) == b"thumbnail"


def test_a_file_that_somebody_removed_comes_back_with_the_next_upload(open_uploads: Open) -> None:
    uploads = open_uploads()
    row = uploads.add(TASK, picture(1), "cat.jpg", None).picture
    uploads.path(row).unlink()
    assert uploads.add(TASK, picture(1), "cat.jpg", None).is_known
    assert uploads.path(row).read_bytes() == picture(1).content


def test_a_row_that_cannot_be_written_leaves_no_file(
    open_uploads: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = open_uploads()
    monkeypatch.setattr(
        "shared.device.uploads.rows.shown_name", lambda _: None
    )  # a name there must be
    with pytest.raises(Exception, match="NOT NULL"):
        uploads.add(TASK, picture(1), "cat.jpg", None)
    assert not files(uploads)


def test_the_same_picture_from_many_sides_is_kept_once(open_uploads: Open) -> None:
    uploads = open_uploads()

    def turn(number: int) -> bool:
        kept = uploads.add(TASK, picture(number % 5), "cat.jpg", None)
        if number % 7 == 0:
            uploads.delete(TASK.name, kept.picture.sha256)
        return kept.is_known

    with ThreadPoolExecutor(8) as threads:
        tries = [threads.submit(turn, number) for number in range(100)]
    for each in tries:
        if each.exception():
            assert isinstance(each.exception(), NotFound)  # another side deleted it first
    rows = uploads.page(TASK)
    assert len({row.added for row in rows}) == len(rows)
    assert files(uploads) == {row.sha256 for row in rows}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("most_picture_bytes", 0),
        ("most_picture_bytes", 2**40),
        ("most_picture_pixels", 10**9),
        ("most_upload_pictures", -1),
        ("most_upload_bytes", "much"),
        ("picture_store_bytes", 0),
        ("least_free_bytes", -1),
    ],
)
def test_a_limit_that_makes_no_sense_is_named(tmp_path: Path, setting: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        device_settings(tmp_path, **{setting: value})
