import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.datasets import ImportRefused, import_reference, read_split

WritePicture = Callable[..., Path]


@pytest.fixture
def reference(tmp_path: Path, write_picture: WritePicture) -> Path:
    source = tmp_path / "Parcel"
    for client in ("Client1", "client_2"):
        for split in ("train", "valid", "test"):
            for name in ("parcel", "not_parcel"):
                write_picture(source / client / split / name / "1.jpg")
                write_picture(source / client / split / name / "2.PNG")
    return source


def test_clients_become_devices(reference: Path, tmp_path: Path) -> None:
    before = sorted(reference.rglob("*"))
    dataset = tmp_path / "dataset"
    report = import_reference(reference, "parcels", dataset)
    assert report.devices == ["device1", "device2"]
    assert set(report.counts.values()) == {2}
    assert len(report.counts) == 12
    assert report.skipped == {}
    for device in report.devices:
        for split in ("train", "valid", "test"):
            assert len(read_split(dataset / device / "parcels" / split, report.classes)) == 4
    assert sorted(reference.rglob("*")) == before
    added = tomllib.loads(report.tasks_toml)
    assert added == {"tasks": {"parcels": {"classes": ["not_parcel", "parcel"]}}}


def test_unreadable_pictures_are_left_out_and_named(reference: Path, tmp_path: Path) -> None:
    broken = reference / "Client1" / "train" / "parcel" / "1.jpg"
    broken.write_bytes(broken.read_bytes()[:100])
    report = import_reference(reference, "parcels", tmp_path / "dataset")
    assert list(report.skipped) == [broken]
    assert report.counts["device1", "train", "parcel"] == 1


def test_nothing_is_overwritten(
    reference: Path, tmp_path: Path, write_picture: WritePicture
) -> None:
    dataset = tmp_path / "dataset"
    own = write_picture(dataset / "device2" / "parcels" / "train" / "parcel" / "own.png")
    with pytest.raises(ImportRefused, match="not overwritten"):
        import_reference(reference, "parcels", dataset)
    assert [path for path in dataset.rglob("*") if path.is_file()] == [own]


def test_a_broken_off_import_is_begun_anew(
    reference: Path, tmp_path: Path, write_picture: WritePicture
) -> None:
    dataset = tmp_path / "dataset"
    write_picture(dataset / "device1" / ".parcels.partial" / "train" / "parcel" / "left.png")
    import_reference(reference, "parcels", dataset)
    assert not list(dataset.rglob("left.png"))
    assert not list(dataset.rglob(".*"))


@pytest.mark.parametrize("task", ["", "Parcels", "../parcels", "a b", "a" * 64])
def test_bad_task_names_are_refused(reference: Path, tmp_path: Path, task: str) -> None:
    with pytest.raises(ImportRefused, match="task's name"):
        import_reference(reference, task, tmp_path / "dataset")


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("Somebody/train/parcel", "no client's folder"),
        ("Client1/training/parcel", "no split"),
        ("client01/train/parcel", "same number"),
    ],
)
def test_another_layout_is_refused(
    reference: Path, tmp_path: Path, folder: str, sentence: str
) -> None:
    (reference / folder).mkdir(parents=True)
    with pytest.raises(ImportRefused, match=sentence):
        import_reference(reference, "parcels", tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()


def test_an_empty_or_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="Client1"):
        import_reference(tmp_path / "missing", "parcels", tmp_path / "dataset")


def test_one_class_is_refused(tmp_path: Path, write_picture: WritePicture) -> None:
    write_picture(tmp_path / "Client1" / "train" / "parcel" / "1.jpg")
    with pytest.raises(ImportRefused, match="at least two"):
        import_reference(tmp_path, "parcels", tmp_path / "dataset")
