"""MNIST's four files: what is read, and what is refused."""

import gzip
import itertools
import resource
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.datasets.chunks import NoDataset, open_chunks, read_test
from shared.datasets.idx import BadIdxFile, open_idx
from shared.datasets.mnist import WrongClasses, find_mnist
from tests.datasets.idx_files import idx, write_mnist, write_part

DIGITS = tuple("0123456789")
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def read(directory: Path, classes: tuple[str, ...] = DIGITS, chunk: int = 1) -> np.ndarray:
    return open_chunks(directory, classes, 28, 1, 7).chunk(chunk).pictures


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("mark", ["-", "."])
def test_pictures_and_labels_come_out_as_they_are(
    tmp_path: Path, compressed: bool, mark: str
) -> None:
    write_mnist(tmp_path, train=20, test=9, compressed=compressed)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", f"{mark}idx")))
    dataset = open_chunks(tmp_path, DIGITS, 28, 1, chunk_size=8)
    assert (dataset.classes, dataset.number_of_chunks) == (DIGITS, 3)
    chunks = [dataset.chunk(number) for number in (1, 2, 3)]
    assert [len(each.labels) for each in chunks] == [8, 8, 4]
    for samples in (*chunks, dataset.test()):
        assert samples.pictures.shape == (len(samples.labels), 28, 28, 1)
        assert [samples.pictures.dtype, samples.labels.dtype] == ["uint8", "int64"]
        np.testing.assert_array_equal(samples.pictures[:, 0, 0, 0] % 10, samples.labels)
    firsts = np.concatenate([each.pictures[:, 0, 0, 0] for each in chunks])
    assert firsts.tolist() == list(range(20))
    alone = read_test(tmp_path, DIGITS, 28, 1)
    np.testing.assert_array_equal(alone.pictures, dataset.test().pictures)


def test_what_a_caller_does_to_a_chunk_stays_with_it(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    dataset = open_chunks(tmp_path, DIGITS, 28, 1)
    before = dataset.chunk(1).pictures.copy()
    dataset.chunk(1).pictures[:] = 0
    np.testing.assert_array_equal(dataset.chunk(1).pictures, before)


def test_other_sizes_and_colour(tmp_path: Path) -> None:
    """As the same picture in a class folder."""
    write_mnist(tmp_path / "idx", train=4)
    picture = read(tmp_path / "idx")[2]
    folder = tmp_path / "folders" / "train" / "2"
    folder.mkdir(parents=True)
    assert cv2.imwrite(str(folder / "picture.png"), picture)
    for size, channels in itertools.product((14, 28, 96), (1, 3)):
        ours = open_chunks(tmp_path / "idx", DIGITS, size, channels).chunk(1)
        theirs = open_chunks(tmp_path / "folders", DIGITS, size, channels).chunk(1)
        assert ours.pictures.shape == (4, size, size, channels)
        np.testing.assert_array_equal(ours.pictures[2], theirs.pictures[0])
        assert theirs.labels.tolist() == [2]


def test_the_test_set_needs_no_training_files(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    for path in tmp_path.glob("train-*"):
        path.unlink()
    assert len(read_test(tmp_path, DIGITS, 28, 1).labels) == 10
    with pytest.raises(NoDataset, match=rf"lacks some .*: {IMAGES}, {LABELS}\."):
        open_chunks(tmp_path, DIGITS, 28, 1)


def test_a_plain_file_comes_before_a_compressed_one(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    (tmp_path / f"{IMAGES}.gz").write_bytes(b"damaged")
    assert find_mnist(tmp_path)["train", "images"] == tmp_path / IMAGES


def test_no_data_set_at_all(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "missing"):
        assert find_mnist(directory) == {}
        with pytest.raises(NoDataset, match=r"holds no data set.*t10k-labels-idx1-ubyte.*train/<"):
            open_chunks(directory, DIGITS, 28, 1)
        with pytest.raises(NoDataset, match=r"\(t10k-images.* in folders test/<class>/\.$"):
            read_test(directory, DIGITS, 28, 1)


GOOD = idx(np.zeros((7, 28, 28)))
BAD = {
    "empty": (b"", "begins with nothing, not 00000803"),
    "another type of number": (b"\0\0\x0d\3" + GOOD[4:], "begins with 00000d03"),
    "labels": (idx(np.zeros(7)), "no IDX file of pictures: it begins with 00000801"),
    "a web page": (b"<!DOCTYPE html><html>", "begins with 3c21444f"),
    "half a header": (GOOD[:11], "cut short within its header"),
    "no picture": (idx(np.zeros((0, 28, 28))), "announces 0 × 28 × 28"),
    "too many": (struct.pack(">4I", 0x803, 2**32 - 1, 28, 28), "at most 1,073,741,824"),
    "wide pictures": (idx(np.zeros((1, 2, 5000))), "at most 4,096 pixels a side"),
    "cut short": (GOOD[:-1], "cut short"),
    "surplus": (GOOD + b"\0", "goes on after"),
    "another number of pictures": (idx(np.zeros((6, 28, 28))), "holds 6 pictures and .* 7 labels"),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_bad_file_is_named(tmp_path: Path, content: tuple[bytes, str], compressed: bool) -> None:
    write_part(tmp_path, "train", np.zeros((7, 28, 28)), np.zeros(7))
    write_part(tmp_path, "t10k", np.zeros((7, 28, 28)), np.zeros(7))
    path = tmp_path / IMAGES
    data, sentence = content
    # Whether it is compressed, the content says, not the name.
    path.write_bytes(gzip.compress(data) if compressed else data)
    with pytest.raises(BadIdxFile, match=sentence) as raised:
        read(tmp_path)
    assert str(path) in raised.value.detail


@given(
    header=st.binary(max_size=4) | st.just(b"\0\0\x08\3"),
    sides=st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 4), max_size=4),
    body=st.binary(max_size=70),
    compressed=st.booleans(),
    most=st.none() | st.integers(0, 90),
)
def test_whatever_lies_there_is_read_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    header: bytes,
    sides: list[int],
    body: bytes,
    compressed: bool,
    most: int | None,
) -> None:
    content = header + struct.pack(f">{len(sides)}I", *sides) + body
    path = tmp_path_factory.getbasetemp() / "anything"
    path.write_bytes((gzip.compress(content) if compressed else content)[:most])
    with suppress(BadIdxFile):
        assert idx(open_idx(path, 3).read()) == content


def test_a_damaged_gzip_file_is_named(tmp_path: Path) -> None:
    write_mnist(tmp_path, compressed=True)
    path = tmp_path / f"{IMAGES}.gz"
    whole = path.read_bytes()
    damaged = [whole[:5], whole[:-12], whole[:-8] + bytes(8), whole[:40] + b"\xff" * 40]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(BadIdxFile, match=r"damaged|cut short|goes on after") as raised:
            read(tmp_path)
        assert str(path) in raised.value.detail


def test_a_compressed_file_is_unpacked_no_further_than_it_announces(tmp_path: Path) -> None:
    """800 MB of zeros behind a small header: they are never in memory."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(GOOD)]
    parts += [packer.compress(bytes(1 << 20)) for _ in range(800)]
    (tmp_path / "bomb").write_bytes(b"".join([*parts, packer.flush()]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadIdxFile, match="goes on after the 5,488 bytes"):
        open_idx(tmp_path / "bomb", 3).read()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    dataset = open_chunks(tmp_path, DIGITS, 28, 1)
    (tmp_path / IMAGES).unlink()
    with pytest.raises(BadIdxFile, match=f"{IMAGES} cannot be read: No such file"):
        dataset.chunk(1)


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        (("1", "0", *DIGITS[2:]), r"the task's classes are 1, 0, 2.* Name them 0, 1, 2"),
        (("3", "5"), "the task's classes are 3, 5"),
        (DIGITS[:5], "label 9, but the task has only 5 classes"),
        (tuple("abcdefghi"), "label 9, but the task has only 9 classes"),
    ],
)
def test_classes_have_to_fit_the_labels(
    tmp_path: Path, classes: tuple[str, ...], sentence: str
) -> None:
    write_mnist(tmp_path)
    with pytest.raises(WrongClasses, match=sentence):
        read(tmp_path, classes)


def test_classes_of_other_names_are_taken_in_order(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    assert read(tmp_path, tuple("abcdefghij")).shape == (7, 28, 28, 1)


def test_the_real_files(test_data: Path) -> None:
    dataset = open_chunks(test_data / "mnist", DIGITS, 28, 1)
    assert dataset.number_of_chunks == 12
    first, last = dataset.chunk(1), dataset.chunk(12)
    assert first.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert len(last.labels) == 5000
    assert np.bincount(last.labels).min() > 400
    tested = dataset.test()
    assert tested.pictures.shape == (10_000, 28, 28, 1)
    assert tested.labels[:5].tolist() == [7, 2, 1, 0, 4]
