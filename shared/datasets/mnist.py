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
from shared.datasets.idx import BadIdxFile, open_idx
from shared.errors import FedbellError

Part = Literal["train", "t10k"]
Kind = Literal["images", "labels"]
Files = Mapping[tuple[Part, Kind], Path]

PARTS: tuple[Part, ...] = ("train", "t10k")
_FORMATS: Mapping[Kind, str] = {"images": "idx3-ubyte", "labels": "idx1-ubyte"}
_DIGITS = tuple("0123456789")


class WrongClasses(FedbellError):
    """Labels that do not fit the task's classes."""

    status = 409
    title = "The labels are not those of the task"


def find_mnist(directory: Path, parts: Sequence[Part] = PARTS) -> Files:
    """The files of some parts in a folder; nothing when none of them is there.

    Names have a dash or a dot before ``idx``, and may end in ``.gz``; a plain file is taken
    before a compressed one.

    Raises:
        NoDataset: some are there, and others are missing; says which.
    """
    found: dict[tuple[Part, Kind], Path] = {}
    missing = []
    for part in parts:
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
            f"{directory} lacks some of the MNIST files. Put there too, plain or as .gz: "
            f"{', '.join(missing)}."
        )
    return found


class MnistChunks(ChunkedDataset):
    """MNIST's training pictures in their own order, which mixes the classes, cut into chunks.

    Label n is the task's class n. The test files are the test set. Headers are checked at once,
    the rest when it is first asked for. The training pictures are then kept in memory.

    Args:
        files: of both parts, as :func:`find_mnist` gives them.
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
        self._size, self._channels, self._chunk_size = image_size, channels, chunk_size
        self._train, self._test = (MnistPart(files, part, self.classes) for part in PARTS)
        self.number_of_chunks = count_chunks(self._train.count, chunk_size)

    def chunk(self, number: int) -> Samples:
        """See :meth:`ChunkedDataset.chunk`. Raises BadShards, BadIdxFile, WrongClasses."""
        check_shards(number, number, self.number_of_chunks)
        rows = rows_of_chunk(number, self._chunk_size)
        return self._train.samples(self._size, self._channels, rows)

    def test(self) -> Samples:
        """See :meth:`ChunkedDataset.test`. Raises BadIdxFile, WrongClasses."""
        return self._test.samples(self._size, self._channels)


class MnistPart:
    """The pictures and the labels of one part, read when they are first asked for.

    Attributes:
        count: of pictures, and of labels.

    Raises:
        BadIdxFile, WrongClasses: as :class:`MnistChunks`.
    """

    def __init__(self, files: Files, part: Part, classes: Sequence[str]) -> None:
        if set(classes) <= set(_DIGITS) and tuple(classes) != _DIGITS[: len(classes)]:
            raise WrongClasses(
                f"In the MNIST files label n is class n, but the task's classes are "
                f"{', '.join(classes)}. Name them {', '.join(_DIGITS)}, in this order."
            )
        self._classes = classes
        self._pictures = open_idx(files[part, "images"], 3)
        self._labels = open_idx(files[part, "labels"], 1)
        (self.count, *_), (labels,) = self._pictures.shape, self._labels.shape
        if self.count != labels:
            raise BadIdxFile(
                f"{self._pictures.path} holds {self.count:,} pictures and {self._labels.path} "
                f"{labels:,} labels: they do not belong together. Download both again."
            )

    def samples(self, image_size: int, channels: int, rows: slice = slice(None)) -> Samples:
        """Some or all of them, as a network wants them. Raises BadIdxFile, WrongClasses."""
        pictures, labels = (array[rows] for array in self._content)
        if pictures.shape[1:] != (image_size, image_size):
            shrinks = min(pictures.shape[1:]) > image_size
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            size = (image_size, image_size)
            pictures = np.stack([cv2.resize(each, size, interpolation=how) for each in pictures])
        shown = np.repeat(pictures[..., np.newaxis], channels, axis=-1)
        return Samples(shown, labels.astype(np.int64))

    @cached_property
    def _content(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        labels = self._labels.read()
        if (highest := int(labels.max())) >= len(self._classes):
            raise WrongClasses(
                f"{self._labels.path} holds the label {highest}, but the task has only "
                f"{len(self._classes)} classes, {', '.join(self._classes[:12])}: labels count "
                "from 0. Add the missing classes to the task."
            )
        return self._pictures.read(), labels
