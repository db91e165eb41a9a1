import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.datasets import EmptySplit, UnknownClassFolder, count_pictures, read_split

WritePicture = Callable[..., Path]

CLASSES = ("zebra", "ant", "bee")


def test_pictures_come_by_class_and_name_with_hashes(
    tmp_path: Path, write_picture: WritePicture
) -> None:
    for name in ("ant/b.png", "ant/a.JPG", "zebra/c.jpeg"):
        write_picture(tmp_path / name)
    pictures = read_split(tmp_path, CLASSES)
    assert [(picture.path.name, picture.label) for picture in pictures] == [
        ("c.jpeg", 0),
        ("a.JPG", 1),
        ("b.png", 1),
    ]
    first = pictures[0]
    assert first.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert count_pictures(tmp_path, CLASSES) == 3


def test_a_picture_that_changes_in_place_has_another_hash(
    tmp_path: Path, write_picture: WritePicture
) -> None:
    """Though files are hashed once, and though somebody sets their dates back."""
    path = write_picture(tmp_path / "ant" / "a.png")
    before = read_split(tmp_path, CLASSES)[0].sha256
    assert read_split(tmp_path, CLASSES)[0].sha256 == before
    status, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert read_split(tmp_path, CLASSES)[0].sha256 == hashlib.sha256(content).hexdigest()


def test_hidden_and_other_files_are_ignored(tmp_path: Path, write_picture: WritePicture) -> None:
    write_picture(tmp_path / "ant" / "a.png")
    write_picture(tmp_path / "ant" / ".hidden.png")
    write_picture(tmp_path / ".cache" / "x.png")
    write_picture(tmp_path / "ant" / "deeper" / "x.png")
    write_picture(tmp_path / "loose.png")
    (tmp_path / "ant" / "notes.txt").write_text("none")
    assert [picture.path.name for picture in read_split(tmp_path, CLASSES)] == ["a.png"]
    assert count_pictures(tmp_path, CLASSES) == 1


def test_empty_split_names_the_folder_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "train" / "ant").mkdir(parents=True)
    for folder in (tmp_path / "train", tmp_path / "missing"):
        with pytest.raises(EmptySplit) as caught:
            read_split(folder, CLASSES)
        assert str(folder / "zebra") in caught.value.detail
        assert count_pictures(folder, CLASSES) == 0


def test_unknown_folder_is_an_error_that_names_the_classes(
    tmp_path: Path, write_picture: WritePicture
) -> None:
    write_picture(tmp_path / "ant" / "a.png")
    write_picture(tmp_path / "aunt" / "a.png")
    with pytest.raises(UnknownClassFolder) as caught:
        read_split(tmp_path, CLASSES)
    assert "aunt" in caught.value.detail
    assert "zebra, ant, bee" in caught.value.detail
    assert count_pictures(tmp_path, CLASSES) == 1


def test_links_out_of_the_split_are_not_followed(
    tmp_path: Path, write_picture: WritePicture
) -> None:
    split, outside = tmp_path / "train", tmp_path / "outside"
    secret = write_picture(outside / "secret.png")
    inside = write_picture(split / "ant" / "a.png")
    (split / "ant" / "link_out.png").symlink_to(secret)
    (split / "ant" / "link_in.png").symlink_to(inside)
    (split / "bee").symlink_to(outside, target_is_directory=True)
    assert [picture.path.name for picture in read_split(split, CLASSES)] == ["a.png", "link_in.png"]
    assert count_pictures(split, CLASSES) == 2


def test_class_names_are_compared_as_people_read_them(
    tmp_path: Path, write_picture: WritePicture
) -> None:
    write_picture(tmp_path / "cafe\u0301" / "a.png")
    pictures = read_split(tmp_path, ("tea", "caf\u00e9"))
    assert [picture.label for picture in pictures] == [1]


def test_what_cannot_be_opened_is_listed_and_has_a_hash_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "ant").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "ant" / name).symlink_to(tmp_path / "ant" / f"gone-{name}")
    (tmp_path / "ant" / "c.png").symlink_to("c.png")  # leads to itself
    assert len({picture.sha256 for picture in read_split(tmp_path, CLASSES)}) == 3
