"""The pictures the trainer works on: those in a task's folders, and those that were uploaded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.datasets import EmptySplit, Picture, decode, read_split
from shared.learning.features import FeatureStore
from shared.learning.network import Network
from shared.learning.training import TrainingCancelled

#: By split: a picture's file, the index of its class, and the SHA-256 of the file, hex.
Uploaded = Mapping[str, Sequence[tuple[str, int, str]]]

#: An uploaded picture is told by this much of its hash: its name stays on the device.
_TOLD_OF_HASH = 12


@dataclass(frozen=True)
class Split:
    """The readable pictures of a split: features (n, …), labels int64 (n,), and the others.

    There is at least one picture, but perhaps no readable one.
    """

    name: str
    features: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    skipped: list[dict[str, str]]

    @property
    def problem(self) -> str | None:
        """Why there is nothing to work with; None: there is."""
        if len(self.labels):
            return None
        return (
            f"No picture of the split {self.name} can be read; the first one: "
            f"{self.skipped[0]['reason']}"
        )


class Pictures:
    """The splits of one task, for one operation.

    Args:
        store: keeps features.
        network: makes them.
        directory: folder of the splits' folders.
        uploaded: further pictures, taken after those of the folders.
        report: told how far the features are.
        cancelled: asked between them.
    """

    def __init__(
        self,
        store: FeatureStore,
        network: Network,
        directory: Path,
        uploaded: Uploaded | None,
        report: Callable[[dict[str, Any]], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._store = store
        self._network = network
        self._directory = directory
        self._uploaded = uploaded or {}
        self._report = report
        self._cancelled = cancelled

    def split(self, name: str) -> Split:
        """A split's features. Raises EmptySplit, UnknownClassFolder, TrainingCancelled."""
        pictures, names = self._list(name)

        def on_progress(done: int, total: int) -> None:
            self._report({"phase": "features", "split": name, "done": done, "total": total})
            if self._cancelled():
                raise TrainingCancelled("Cancelled while the pictures were read.")

        task = self._network.task
        features = self._store.features(
            self._network,
            [picture.sha256 for picture in pictures],
            lambda index: decode(pictures[index].path, task.image_size, task.channels),
            on_progress,
        )
        skipped = [
            # Without its path: the reason may be told to the main server, names stay here.
            {"picture": names[index], "reason": reason.replace(str(pictures[index].path), "It")}
            for index, reason in sorted(features.unreadable.items())
        ]
        labels = np.array([pictures[index].label for index in features.kept], np.int64)
        return Split(name, features.array, labels, skipped)

    def split_if_any(self, name: str) -> Split | None:
        """A split's features; None when there is no picture."""
        try:
            return self.split(name)
        except EmptySplit:
            return None

    def _list(self, name: str) -> tuple[list[Picture], list[str]]:
        """The pictures of a split, and how each is called when something is wrong with it."""
        uploaded = [
            Picture(Path(path), label, sha256)
            for path, label, sha256 in self._uploaded.get(name, ())
        ]
        try:
            found = read_split(self._directory / name, self._network.task.classes)
        except EmptySplit as error:
            if not uploaded:
                raise EmptySplit(
                    f"{error.detail} Or upload pictures on the device's page."
                ) from error
            found = []
        names = [str(picture.path.relative_to(self._directory)) for picture in found]
        names += [f"uploads/{picture.sha256[:_TOLD_OF_HASH]}" for picture in uploaded]
        return found + uploaded, names
