"""What the backbone says of each picture, computed once and kept on disk.

A folder per backbone, picture size (``Network.features_key``) and way of decoding holds
segments (shared/learning/segments.py). What is computed is kept at once, some pictures a
segment, so that a call that is broken off loses little; in the end the features of a call's
pictures lie in one segment of exactly these pictures, which the next call only maps. There is
no index to go stale, and any number of processes may read and write at once.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from shared.errors import UnreadablePicture
from shared.learning.processors import processors
from shared.learning.segments import (
    DamagedSegment,
    Segment,
    open_segment,
    segment_name,
    write_segment,
)

_log = logging.getLogger(__name__)

#: Pictures computed between two segments, and between two reports of progress.
_PART_PICTURES = 64
#: Segments kept mapped between calls: those of a few tasks' train, valid and test.
_MOST_MAPPED = 32

Load = Callable[[int], npt.NDArray[np.uint8]]
OnProgress = Callable[[int, int], None]


class Extractor(Protocol):
    """What the store wants of a Network."""

    features_key: str
    feature_shape: tuple[int, ...]
    feature_dtype: Any

    def extract(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Features (n, *feature_shape) of pictures uint8 (n, s, s, channels)."""


@dataclass(frozen=True)
class Features:
    """Features of those pictures that could be read.

    Attributes:
        array: (m, *feature_shape), in the order asked for; mapped from a file where it can be.
        kept: for each row of ``array``, the index of its picture.
        unreadable: index of each other picture, and why it could not be read.
    """

    array: npt.NDArray[Any]
    kept: list[int]
    unreadable: dict[int, str]


class FeatureStore:
    """Features on disk, least recently used ones dropped first. One thread at a time.

    Args:
        directory: made when needed; holds nothing else.
        max_bytes: what it may hold on disk, over all networks.
        decoding: names how callers make pixels of a picture's file. Features of pictures
            that were decoded another way are not taken.
    """

    def __init__(self, directory: Path, max_bytes: int = 2 << 30, decoding: str = "plain") -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self._decoding = decoding
        self._mapped: dict[Path, tuple[Any, Segment]] = {}

    def features(
        self,
        network: Extractor,
        hashes: Sequence[str],
        load: Load,
        on_progress: OnProgress | None = None,
    ) -> Features:
        """Features of pictures, from disk where they are known, else computed and kept.

        Args:
            network: computes what is not known.
            hashes: SHA-256 of each picture's file, hex.
            load: picture ``i``, uint8 (s, s, channels); asked only for what is not known, by
                several threads at once.
            on_progress: called with (pictures done, pictures in all) while it computes.

        Raises:
            Whatever ``load`` and ``on_progress`` raise, except UnreadablePicture: that one is
            noted. What was computed before is kept.
        """
        folder = self.directory / f"{network.features_key}-{self._decoding}"
        keys = [bytes.fromhex(text) for text in hashes]
        unreadable: dict[int, str] = {}
        if ready := self._open(folder / segment_name(keys), network):
            array = ready.features
        else:
            known = self._known(folder, network, set(keys))
            unreadable = self._compute(folder, network, keys, known, load, on_progress)
            readable = [key for index, key in enumerate(keys) if index not in unreadable]
            array = self._join(folder, network, readable, known)
        while len(self._mapped) > _MOST_MAPPED:
            self._mapped.pop(next(iter(self._mapped)))
        self._prune()
        kept = [index for index in range(len(keys)) if index not in unreadable]
        return Features(array, kept, unreadable)

    def _open(self, path: Path, network: Extractor) -> Segment | None:
        """A segment, mapped and checked, unless it has been since it last changed."""
        try:
            before, segment = self._mapped.pop(path, (None, None))
            if segment is None or before != _stamp(path):
                segment = open_segment(path, network.feature_shape, network.feature_dtype)
            os.utime(path)
            self._mapped[path] = _stamp(path), segment
        except FileNotFoundError:
            return None
        except DamagedSegment as damage:
            _log.warning("segment %s is damaged and computed again: %s", path, damage)
            path.unlink(missing_ok=True)
            return None
        except OSError as error:
            _log.warning("segment %s cannot be read: %s", path, error)
            return None
        return segment

    def _known(
        self, folder: Path, network: Extractor, wanted: set[bytes]
    ) -> dict[bytes, npt.NDArray[Any]]:
        """The features of those wanted pictures that any segment has, mapped."""
        known: dict[bytes, npt.NDArray[Any]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            if len(known) < len(wanted) and (segment := self._open(path, network)):
                known |= {
                    key: segment.features[row] for key, row in segment.rows.items() if key in wanted
                }
        return known

    def _compute(
        self,
        folder: Path,
        network: Extractor,
        keys: list[bytes],
        known: dict[bytes, npt.NDArray[Any]],
        load: Load,
        on_progress: OnProgress | None,
    ) -> dict[int, str]:
        """Add to ``known`` what is missing; the pictures that cannot be read, and why."""
        wanted: dict[bytes, list[int]] = {}
        for index, key in enumerate(keys):
            if key not in known:
                wanted.setdefault(key, []).append(index)
        unreadable: dict[int, str] = {}
        missing, left = list(wanted), sum(map(len, wanted.values()))

        def load_or_say_why(key: bytes) -> npt.NDArray[np.uint8] | str:
            try:
                return load(wanted[key][0])
            except UnreadablePicture as error:
                return error.detail

        with ThreadPoolExecutor(processors(), "decoding") as threads:
            for begin in range(0, len(missing), _PART_PICTURES):
                part = missing[begin : begin + _PART_PICTURES]
                pictures = dict(zip(part, threads.map(load_or_say_why, part), strict=True))
                found = [key for key in part if not isinstance(pictures[key], str)]
                for key, reason in pictures.items():
                    if isinstance(reason, str):
                        unreadable |= dict.fromkeys(wanted[key], reason)
                if found:
                    known |= self._extract(folder, network, found, pictures)
                left -= sum(len(wanted[key]) for key in part)
                if on_progress:
                    on_progress(len(keys) - left, len(keys))
        return unreadable

    def _extract(
        self, folder: Path, network: Extractor, keys: list[bytes], pictures: dict[bytes, Any]
    ) -> dict[bytes, npt.NDArray[Any]]:
        """Run the backbone, and keep what it says in a segment."""
        extracted = network.extract(np.stack([pictures[key] for key in keys]))
        segment = self._write(folder, network, keys, extracted)
        return dict(zip(keys, segment.features if segment else extracted, strict=True))

    def _join(
        self,
        folder: Path,
        network: Extractor,
        keys: list[bytes],
        known: dict[bytes, npt.NDArray[Any]],
    ) -> npt.NDArray[Any]:
        """The features of all pictures in one array: of a segment, else in memory."""
        if not keys:
            return np.empty((0, *network.feature_shape), network.feature_dtype)
        rows = (known[key] for key in keys)
        segment = self._open(folder / segment_name(keys), network) or self._write(
            folder, network, keys, rows
        )
        if segment is None:
            return np.stack([known[key] for key in keys])
        for path, (_, other) in list(self._mapped.items()):
            is_covered = path.parent == folder and other.rows.keys() <= segment.rows.keys()
            if is_covered and path != segment.path:
                del self._mapped[path]
                path.unlink(missing_ok=True)
        return segment.features

    def _write(
        self,
        folder: Path,
        network: Extractor,
        keys: list[bytes],
        rows: npt.NDArray[Any] | Iterator[npt.NDArray[Any]],
    ) -> Segment | None:
        """A new segment. Named by its pictures: two writers of the same write one file."""
        path = folder / segment_name(keys)
        try:
            write_segment(path, keys, rows, network.feature_shape, network.feature_dtype)
        except OSError as error:
            # The features are at hand; a full disk costs the next training time, not this one.
            _log.warning("features were not kept: %s", error)
            return None
        return self._open(path, network)

    def _prune(self) -> None:
        """Delete the least recently used files until the rest fits.

        An array that somebody has stays as it is. While a call adds pictures, their features
        may lie there twice, in parts and as one.
        """
        files = []
        for path in self.directory.glob("*/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                files.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self.max_bytes:
                break
            if self._mapped.pop(path, None):
                _log.warning(
                    "The feature store is full (%d MB), and features that are still in use have "
                    "to go: they are computed again each time. Let FEATURE_STORE_BYTES be more.",
                    self.max_bytes // 10**6,
                )
            path.unlink(missing_ok=True)
            total -= size


def _stamp(path: Path) -> tuple[int, int, int]:
    """Changes whenever the file does."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
