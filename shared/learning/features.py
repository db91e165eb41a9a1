"""What the backbone says of each picture, computed once and kept on disk.

A folder per backbone, picture size (``Network.features_key``) and way of decoding holds
segments: files written once, each with the features of some pictures under the pictures'
hashes. Nothing else is kept, so there is no index to go stale, and any number of processes
may read and write at once.
"""

import logging
import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from shared.errors import UnreadablePicture
from shared.federated.weights import write_durably

_log = logging.getLogger(__name__)

#: Pictures in a segment, and pictures decoded before the backbone runs. A call that is
#: broken off loses no more than this many.
_SEGMENT_PICTURES = 128


class Extractor(Protocol):
    """What the store wants of a Network."""

    features_key: str
    feature_shape: tuple[int, ...]
    feature_dtype: Any

    def extract(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Features (n, *feature_shape) of pictures uint8 (n, s, s, 3)."""


@dataclass(frozen=True)
class Features:
    """Features of those pictures that could be read.

    Attributes:
        array: (m, *feature_shape), in the order asked for.
        kept: for each row of ``array``, the index of its picture.
        unreadable: index of each other picture, and why it could not be read.
    """

    array: npt.NDArray[Any]
    kept: list[int]
    unreadable: dict[int, str]


class FeatureStore:
    """Features on disk, least recently used ones dropped first.

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

    def features(
        self,
        network: Extractor,
        hashes: Sequence[str],
        load: Callable[[int], npt.NDArray[np.uint8]],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Features:
        """Features of pictures, from disk where they are known, else computed and kept.

        Args:
            network: computes what is not known.
            hashes: SHA-256 of each picture's file, hex.
            load: picture ``i``, uint8 (s, s, 3) RGB; asked only for what is not known.
            on_progress: called with (pictures done, pictures in all) while it computes.

        Raises:
            Whatever ``load`` raises, except UnreadablePicture: that one is noted.
        """
        folder = self.directory / f"{network.features_key}-{self._decoding}"
        array = np.empty((len(hashes), *network.feature_shape), network.feature_dtype)
        wanted: dict[bytes, list[int]] = {}
        for index, text in enumerate(hashes):
            wanted.setdefault(bytes.fromhex(text), []).append(index)
        for path in sorted(folder.glob("*.safetensors")):
            _take(path, wanted, array)
        unreadable: dict[int, str] = {}
        missing = list(wanted)
        for begin in range(0, len(missing), _SEGMENT_PICTURES):
            part = missing[begin : begin + _SEGMENT_PICTURES]
            found: list[bytes] = []
            pictures = []
            for key in part:
                try:
                    pictures.append(load(wanted[key][0]))
                    found.append(key)
                except UnreadablePicture as error:
                    unreadable |= dict.fromkeys(wanted[key], error.detail)
            if found:
                extracted = network.extract(np.stack(pictures))
                for row, key in enumerate(found):
                    array[wanted[key]] = extracted[row]
                self._keep(folder, found, extracted)
            if on_progress:
                left = sum(len(wanted[key]) for key in missing[begin + len(part) :])
                on_progress(len(hashes) - left, len(hashes))
        self._prune()
        kept = [index for index in range(len(hashes)) if index not in unreadable]
        return Features(array[kept] if unreadable else array, kept, unreadable)

    def _keep(self, folder: Path, keys: list[bytes], extracted: npt.NDArray[Any]) -> None:
        """Write a segment. Named by its pictures: two writers of the same write one file."""
        table = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1)
        features = np.ascontiguousarray(extracted)
        content = to_safetensors(
            {"hashes": table, "features": features}, {"crc32": _checksum(table, features)}
        )
        path = folder / f"{sha256(table.tobytes()).hexdigest()[:32]}.safetensors"
        try:
            write_durably(path, content)
        except OSError as error:
            # The features are at hand; a full disk costs the next training time, not this one.
            _log.warning("features were not kept: %s", error)

    def _prune(self) -> None:
        """Delete the least recently used files until the rest fits."""
        files = []
        for path in self.directory.glob("*/*"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            files.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self.max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size


def _take(path: Path, wanted: dict[bytes, list[int]], array: npt.NDArray[Any]) -> None:
    """Copy what a segment knows into ``array`` and strike it off ``wanted``.

    A damaged segment is deleted: its pictures are computed again.
    """
    try:
        with safe_open(path, framework="numpy") as segment:
            table = segment.get_tensor("hashes")
            rows = [(row, key) for row, raw in enumerate(table) if (key := raw.tobytes()) in wanted]
            if not rows:
                return
            features = segment.get_tensor("features")
            crc32 = (segment.metadata() or {}).get("crc32")
        if crc32 != _checksum(table, features) or features.shape[1:] != array.shape[1:]:
            raise ValueError("its checksum or shape is wrong")
    except FileNotFoundError:
        return
    except (SafetensorError, OSError, ValueError) as error:
        _log.warning("segment %s is damaged and computed again: %s", path, error)
        path.unlink(missing_ok=True)
        return
    for row, key in rows:
        array[wanted.pop(key)] = features[row]
    with suppress(FileNotFoundError):
        os.utime(path)


def _checksum(table: npt.NDArray[Any], features: npt.NDArray[Any]) -> str:
    return str(zlib.crc32(features.data, zlib.crc32(table.data)))
