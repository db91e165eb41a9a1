"""Class folders, cut into chunks."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.datasets.chunks import (
    ChunkedDataset,
    Samples,
    check_shards,
    count_chunks,
    rows_of_chunk,
)
from shared.datasets.class_folders import EmptySplit, Picture, read_split
from shared.datasets.decoding import decode
from shared.errors import UnreadablePicture

_log = logging.getLogger(__name__)


class FolderChunks(ChunkedDataset):
    """Pictures of ``train/<class>/``, cut into chunks; those of ``test/<class>/`` to test with.

    The training pictures are taken in the order of the SHA-256 of their files. That order has
    nothing to do with classes or names, so that each chunk mixes the classes, and needs no seed:
    equal files make equal chunks everywhere. A picture that cannot be read is left out of its
    chunk, and a warning says how many those are; the other chunks are what they were.

    Args:
        directory: of the splits.
        classes, image_size, channels, chunk_size: as :func:`open_chunks`.

    Raises:
        EmptySplit, UnknownClassFolder, UnreadableFolder: of the training pictures.
    """

    def __init__(
        self,
        directory: Path,
        classes: Sequence[str],
        image_size: int,
        channels: int,
        chunk_size: int,
    ) -> None:
        self.classes = tuple(classes)
        self._directory = directory
        self._size, self._channels, self._chunk_size = image_size, channels, chunk_size
        found = read_split(directory / "train", self.classes)
        # The label and the name decide between equal files.
        self._training = sorted(found, key=lambda each: (each.sha256, each.label, each.path.name))
        self.number_of_chunks = count_chunks(len(found), chunk_size)

    def chunk(self, number: int) -> Samples:
        """See :meth:`ChunkedDataset.chunk`.

        Raises:
            BadShards: there is no such chunk.
            EmptySplit: none of its pictures can be read.
        """
        check_shards(number, number, self.number_of_chunks)
        rows = rows_of_chunk(number, self._chunk_size)
        what = f"chunk {number} of {self._directory}"
        return _decoded(self._training[rows], self._size, self._channels, what)

    def test(self) -> Samples:
        """See :meth:`ChunkedDataset.test`. Raises as :func:`read_folder`."""
        return read_folder(self._directory / "test", self.classes, self._size, self._channels)


def read_folder(directory: Path, classes: Sequence[str], image_size: int, channels: int) -> Samples:
    """All readable pictures of one split, by class and then by name.

    Args:
        directory: the split, such as ``dataset/device1/digits/test``.
        classes, image_size, channels: as :func:`open_chunks`.

    Raises:
        EmptySplit: there is none, or none that can be read.
        UnknownClassFolder, UnreadableFolder
    """
    return _decoded(read_split(directory, classes), image_size, channels, str(directory))


def _decoded(listed: Sequence[Picture], image_size: int, channels: int, what: str) -> Samples:
    def decoded(picture: Picture) -> npt.NDArray[np.uint8] | None:
        try:
            return decode(picture.path, image_size, channels)
        except UnreadablePicture as error:
            unreadable.append(error.detail)
            return None

    unreadable: list[str] = []

    with ThreadPoolExecutor(thread_name_prefix="decoding") as threads:
        results = list(threads.map(decoded, listed))
    kept = [
        (pixels, picture.label)
        for pixels, picture in zip(results, listed, strict=True)
        if pixels is not None
    ]
    if not kept:
        raise EmptySplit(f"No picture of {what} can be read. Copy them there again.")
    if unreadable:
        told = f"{len(unreadable)} of {len(listed)} pictures of {what} are left out, one of them"
        _log.warning("%s: %s", told, min(unreadable))
    pictures, labels = zip(*kept, strict=True)
    return Samples(np.stack(pictures), np.array(labels, np.int64))
