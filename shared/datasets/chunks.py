"""A training set cut into numbered chunks, for clients that train on one chunk after the other.

What lies in a folder decides how it is read: the four MNIST files (shared/datasets/mnist.py), or
class folders (shared/datasets/folder_chunks.py). Whoever has the same files gets the same chunks.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.errors import FedbellError

#: Training pictures in a chunk unless told otherwise: MNIST has twelve of them.
CHUNK_SIZE = 5000


class BadShards(FedbellError):
    """Chunks that the data set does not have."""

    status = 422
    title = "There are no such chunks"


class NoDataset(FedbellError):
    """A folder with no data set in it."""

    status = 409
    title = "There is no data set"


@dataclass(frozen=True)
class Samples:
    """Pictures and what they show.

    Attributes:
        pictures: uint8 (n, height, width, channels); one channel is grey, three are RGB.
        labels: int64 (n,), indices of the task's classes.
    """

    pictures: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


class ChunkedDataset(ABC):
    """A training set in chunks, and a test set in one piece.

    Attributes:
        classes: of the task, in the order of its network's outputs.
        number_of_chunks: at least one; only the last one may be smaller than the others.
    """

    classes: tuple[str, ...]
    number_of_chunks: int

    @abstractmethod
    def chunk(self, number: int) -> Samples:
        """One chunk of the training set, always the same; counted from 1.

        Raises:
            BadShards: there is no chunk of this number.
            FedbellError: what is wrong with the files.
        """

    @abstractmethod
    def test(self) -> Samples:
        """The test set. Raises FedbellError: what is wrong with the files."""

    def shards(self, first: int, last: int) -> range:
        """The numbers of the chunks from ``first`` to ``last``, both among them.

        Raises:
            BadShards: they are not all there.
        """
        check_shards(first, last, self.number_of_chunks)
        return range(first, last + 1)


def open_chunks(
    directory: Path,
    classes: Sequence[str],
    image_size: int,
    channels: int,
    chunk_size: int = CHUNK_SIZE,
) -> ChunkedDataset:
    """Open a data set: the four MNIST files, or folders ``{train,test}/<class>/``.

    Args:
        directory: of the files, or of the folders.
        classes: of the task, in order.
        image_size: side of the square pictures that are wanted, in pixels.
        channels: of these pictures: 1 for grey, 3 for RGB.
        chunk_size: training pictures in a chunk, at least 1.

    Raises:
        NoDataset: neither is there, or some of the four files are missing.
        BadShards: no chunk can have this size.
        FedbellError: what is wrong with the files.
    """
    if chunk_size < 1:
        raise BadShards(f"A chunk has at least one picture, not {chunk_size}: set chunk_size.")
    # Here: whoever only checks numbers of chunks does without OpenCV.
    from shared.datasets.folder_chunks import FolderChunks
    from shared.datasets.mnist import MnistChunks, find_mnist

    if files := find_mnist(directory):
        return MnistChunks(files, classes, image_size, channels, chunk_size)
    if (directory / "train").is_dir():
        return FolderChunks(directory, classes, image_size, channels, chunk_size)
    raise _nothing(directory, ("train", "t10k"), ("train", "test"))


def read_test(directory: Path, classes: Sequence[str], image_size: int, channels: int) -> Samples:
    """The test set of a data set, as :meth:`ChunkedDataset.test` gives it; none other is read.

    Raises:
        NoDataset: there is none, or one of its two files is missing.
        FedbellError: what is wrong with the files.
    """
    from shared.datasets.folder_chunks import read_folder
    from shared.datasets.mnist import MnistPart, find_mnist

    if files := find_mnist(directory, ("t10k",)):
        return MnistPart(files, "t10k", classes).samples(image_size, channels)
    if (directory / "test").is_dir():
        return read_folder(directory / "test", classes, image_size, channels)
    raise _nothing(directory, ("t10k",), ("test",))


def check_shards(first: int, last: int, number_of_chunks: int) -> None:
    """Raise BadShards unless chunks ``first`` to ``last`` are chunks of a data set.

    Args:
        first: number of the first chunk, from 1.
        last: number of the last one, itself among them.
        number_of_chunks: that the data set has.
    """
    if 1 <= first <= last <= number_of_chunks:
        return
    there_are = (
        f"there are {number_of_chunks} chunks, 1 to {number_of_chunks}"
        if number_of_chunks > 1
        else "there is one chunk, 1"
    )
    if first > last:
        wrong = f"The first chunk, {first}, comes after the last one, {last}"
    else:
        missing = first if first < 1 else last
        wrong = f"There is no chunk {missing}"
    raise BadShards(f"{wrong}: {there_are}, and the first is not above the last.")


def count_chunks(count: int, chunk_size: int) -> int:
    """How many chunks ``count`` pictures make; the last one holds what is left."""
    return -(-count // chunk_size)


def rows_of_chunk(number: int, chunk_size: int) -> slice:
    """Which pictures of the training set a chunk has; chunks are counted from 1."""
    return slice((number - 1) * chunk_size, number * chunk_size)


def _nothing(directory: Path, parts: Sequence[str], splits: Sequence[str]) -> NoDataset:
    files = [f"{part}-{kind}-ubyte" for part in parts for kind in ("images-idx3", "labels-idx1")]
    folders = " and ".join(f"{split}/<class>/" for split in splits)
    return NoDataset(
        f"{directory} holds no data set. Put there MNIST's files, plain or as .gz "
        f"({', '.join(files)}), or pictures in folders {folders}."
    )
