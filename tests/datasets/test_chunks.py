"""Cutting a training set into chunks, and asking for some of them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.datasets import EmptySplit, UnknownClassFolder
from shared.datasets.chunks import (
    BadShards,
    check_shards,
    count_chunks,
    open_chunks,
    read_test,
    rows_of_chunk,
)
from tests.datasets.idx_files import write_mnist

CLASSES = ("a", "b", "c")


def write_folders(directory: Path, each: int = 20) -> None:
    """Pictures of one shade, named after it; the classes' shades differ."""
    for split in ("train", "test"):
        for label, name in enumerate(CLASSES):
            folder = directory / split / name
            folder.mkdir(parents=True)
            for number in range(each):
                pixels = np.full((8, 8), 80 * label + number, np.uint8)
                assert cv2.imwrite(str(folder / f"{number}.png"), pixels)


def shades(directory: Path, chunk: int, size: int = 25) -> list[int]:
    samples = open_chunks(directory, CLASSES, 8, 1, size).chunk(chunk)
    found = samples.pictures[:, 0, 0, 0].astype(np.int64)
    np.testing.assert_array_equal(found // 80, samples.labels)
    return [int(shade) for shade in found]


@given(count=st.integers(1, 500), size=st.integers(1, 600))
def test_every_picture_is_in_one_chunk(count: int, size: int) -> None:
    number = count_chunks(count, size)
    pictures = list(range(count))
    chunks = [pictures[rows_of_chunk(each, size)] for each in range(1, number + 1)]
    assert [picture for chunk in chunks for picture in chunk] == pictures
    assert [len(chunk) for chunk in chunks[:-1]] == [size] * (number - 1)
    assert chunks[-1]


@given(first=st.integers(-5, 20), last=st.integers(-5, 20), number=st.integers(1, 15))
def test_shards_are_within_the_data_set(first: int, last: int, number: int) -> None:
    chunks = range(1, number + 1)
    if first in chunks and last in chunks and first <= last:
        check_shards(first, last, number)
    else:
        with pytest.raises(BadShards, match=f"1 to {number}," if number > 1 else "one chunk, 1,"):
            check_shards(first, last, number)


@pytest.mark.parametrize(
    ("first", "last", "sentence"),
    [
        (0, 3, "There is no chunk 0: there are 12 chunks, 1 to 12, and"),
        (2, 13, "There is no chunk 13"),
        (3, 2, "The first chunk, 3, comes after the last one, 2"),
    ],
)
def test_what_is_wrong_with_shards_is_told(first: int, last: int, sentence: str) -> None:
    with pytest.raises(BadShards, match=sentence):
        check_shards(first, last, 12)


def test_shards_of_a_data_set(tmp_path: Path) -> None:
    write_mnist(tmp_path, train=20)
    dataset = open_chunks(tmp_path, tuple("0123456789"), 28, 1, chunk_size=3)
    assert list(dataset.shards(2, 7)) == [2, 3, 4, 5, 6, 7]
    for number in (0, 8, -1):
        with pytest.raises(BadShards, match=f"no chunk {number}: there are 7"):
            dataset.chunk(number)
    with pytest.raises(BadShards, match="comes after"):
        dataset.shards(3, 1)
    with pytest.raises(BadShards, match="at least one picture, not 0"):
        open_chunks(tmp_path, tuple("0123456789"), 28, 1, chunk_size=0)


def test_chunks_of_class_folders_mix_the_classes(tmp_path: Path) -> None:
    write_folders(tmp_path)
    chunks = [shades(tmp_path, number) for number in (1, 2, 3)]
    assert [len(chunk) for chunk in chunks] == [25, 25, 10]
    everything = [80 * label + number for label in range(3) for number in range(20)]
    assert sorted(shade for chunk in chunks for shade in chunk) == everything
    for chunk in chunks[:2]:
        assert min(np.bincount([shade // 80 for shade in chunk], minlength=3)) >= 3
    assert len(open_chunks(tmp_path, CLASSES, 8, 1).test().labels) == 60
    assert len(read_test(tmp_path, CLASSES, 8, 1).labels) == 60


def test_chunks_depend_on_content_and_not_on_names(tmp_path: Path) -> None:
    write_folders(tmp_path)
    before = [shades(tmp_path, number) for number in (1, 2, 3)]
    for path in sorted(tmp_path.glob("train/*/*.png")):
        path.rename(path.with_name(f"x{99 - int(path.stem)}.png"))
    assert [shades(tmp_path, number) for number in (1, 2, 3)] == before


def test_an_unreadable_picture_moves_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_folders(tmp_path)
    (tmp_path / "train" / "a" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    chunks = [shades(tmp_path, number) for number in (1, 2, 3)]
    assert sum(map(len, chunks)) == 60
    assert sorted(map(len, chunks)) in ([10, 25, 25], [11, 24, 25])
    (told,) = {record.getMessage() for record in caplog.records}
    assert "1 of " in told
    assert "are left out" in told
    assert "damaged.png" in told


def test_folders_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "train" / "a").mkdir(parents=True)
    with pytest.raises(EmptySplit, match="holds no picture"):
        open_chunks(tmp_path, CLASSES, 8, 1)
    (tmp_path / "train" / "a" / "1.png").write_text("no picture")
    with pytest.raises(EmptySplit, match=r"No picture of chunk 1 of .* can be read"):
        open_chunks(tmp_path, CLASSES, 8, 1).chunk(1)
    (tmp_path / "train" / "d").mkdir()
    with pytest.raises(UnknownClassFolder):
        open_chunks(tmp_path, CLASSES, 8, 1)
