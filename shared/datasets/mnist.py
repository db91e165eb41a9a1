"""MNIST in its four original files, cut into chunks.

The files are as Y. LeCun, C. Cortes and C. Burges published them ("The MNIST database of
handwritten digits", 1998): 60,000 grey pictures of 28 × 28 pixels to train on, 10,000 to test
with. Data sets of the same format and names, such as Fashion-MNIST, will do as well.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from shared.datasets.chunks import (
    ChunkedDataset,
    NoDataset,
    Samples,
    check_shards,
    count_chunks,
    rows_of_chunk,
)
from shared.datasets.idx import BadIdxFile, IdxFile, open_idx
from shared.errors import FedbellError

Part = Literal["train", "t10k"]
Kind = Literal["images", "labels"]
Files = Mapping[tuple[Part, Kind], Path]

_PARTS: tuple[Part, ...] = ("train", "t10k")
_FORMATS: Mapping[Kind, str] = {"images": "idx3-ubyte", "labels": "idx1-ubyte"}
_DIGITS = tuple("0123456789")


class WrongClasses(FedbellError):
    """Labels that do not fit the task's classes."""

    status = 409
    title = "The labels are not those of the task"


def find_mnist(directory: Path) -> Files:
    """The four files in a folder; nothing when none of them is there.

    Names have a dash or a dot before ``idx``, and may end in ``.gz``; a plain file is taken
    before a compressed one.

    Raises:
        NoDataset: some are there, and others are missing; says which.
    """
    found: dict[tuple[Part, Kind], Path] = {}
    missing = []
    for part in _PARTS:
        for kind, suffix in _FORMATS.items():
            names = [f"{part}-{kind}{mark}{suffix}" for mark in "-."]
            paths = [directory / f"{name}{end}" for end in ("", ".gz") for name in names]
            there = [path for path in paths if path.is_file()]
            if there:
                found[part, kind] = there[0]
            else:
                missing.append(names[0])
    if found and missing:
        raise NoDataset(
            f"{directory} holds only some of the four MNIST files. Put there too, as it is or as "
            f".gz: {', '.join(missing)}."
        )
    return found


class MnistChunks(ChunkedDataset):
    """MNIST's training pictures in their own order, which mixes the classes, cut into chunks.

    Label n is the task's class n. The test files are the test set. Headers are checked at once,
    the rest when it is first asked for; it is then kept in memory.

    Args:
        files: as :func:`find_mnist` gives them.
        classes, image_size, channels, chunk_size: as :func:`open_chunks`. Pictures of another
            size are resized; three channels are three times the grey one.

    Raises:
        BadIdxFile: a file is not what it should be, or two of them do not belong together.
        WrongClasses: the task's classes are digits in another order.
    """

    def __init__(
        self,
        files: Files,
        classes: Sequence[str],
        image_size: int,
        channels: int,
        chunk_size: int,
    ) -> None:
        self.classes = tuple(classes)
        if set(self.classes) <= set(_DIGITS) and self.classes != _DIGITS[: len(self.classes)]:
            raise WrongClasses(
                f"In the MNIST files label n is class n, but the task's classes are "
                f"{', '.join(classes)}. Name them {', '.join(_DIGITS)}, in this order."
            )
        self._size, self._channels, self._chunk_size = image_size, channels, chunk_size
        self._train, self._test = (_open_part(files, part) for part in _PARTS)
        self.number_of_chunks = count_chunks(self._train[0].shape[0], chunk_size)

    def chunk(self, number: int) -> Samples:
        """See :meth:`ChunkedDataset.chunk`. Raises BadShards, BadIdxFile, WrongClasses."""
        check_shards(number, number, self.number_of_chunks)
        rows = rows_of_chunk(number, self._chunk_size)
        pictures, labels = self._training
        return self._samples(pictures[rows], labels[rows])

    def test(self) -> Samples:
        """See :meth:`ChunkedDataset.test`. Raises BadIdxFile, WrongClasses."""
        return self._samples(*self._read(self._test))

    @cached_property
    def _training(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        return self._read(self._train)

    def _read(
        self, part: tuple[IdxFile, IdxFile]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        pictures, labels = (file.read() for file in part)
        if (highest := int(labels.max())) >= len(self.classes):
            raise WrongClasses(
                f"{part[1].path} holds the label {highest}, but the task has only "
                f"{len(self.classes)} classes, {', '.join(self.classes[:12])}: labels count "
                "from 0. Add the missing classes to the task."
            )
        return pictures, labels

    def _samples(self, pictures: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Samples:
        """As the task's network wants them: resized where need be, and with their channels."""
        if pictures.shape[1:] != (self._size, self._size):
            shrinks = min(pictures.shape[1:]) > self._size
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            size = (self._size, self._size)
            pictures = np.stack([cv2.resize(each, size, interpolation=how) for each in pictures])
        shown = np.repeat(pictures[..., np.newaxis], self._channels, axis=-1)
        return Samples(shown, labels.astype(np.int64))


def _open_part(files: Files, part: Part) -> tuple[IdxFile, IdxFile]:
    """The pictures and the labels of one part, their headers checked."""
    pictures, labels = open_idx(files[part, "images"], 3), open_idx(files[part, "labels"], 1)
    if pictures.shape[0] != labels.shape[0]:
        raise BadIdxFile(
            f"{pictures.path} holds {pictures.shape[0]:,} pictures and {labels.path} "
            f"{labels.shape[0]:,} labels: they do not belong together. Download both again."
        )
    return pictures, labels
