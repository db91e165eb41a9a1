"""What the trainer does: builds networks, trains them, measures them. Its process only."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.datasets import RECIPE, EmptySplit, decode, read_split
from shared.federated.task import Task, TrainingSettings
from shared.federated.update import UpdateHeader
from shared.federated.weights import read_weights, write_weights
from shared.learning.determinism import make_deterministic
from shared.learning.evaluation import evaluate
from shared.learning.features import FeatureStore
from shared.learning.network import Network, build_network
from shared.learning.training import TrainingCancelled, train

#: Every training is seeded by its caller; this one is for whatever asks no caller.
_SEED = 1

Report = Callable[[dict[str, Any]], None]
Cancelled = Callable[[], bool]


@dataclass(frozen=True)
class _Split:
    """The readable pictures of a split: features (n, …), labels int64 (n,), and the others.

    There is at least one picture, but perhaps no readable one.
    """

    directory: Path
    features: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    skipped: list[dict[str, str]]

    @property
    def problem(self) -> str | None:
        """Why there is nothing to work with; None: there is."""
        if len(self.labels):
            return None
        return (
            f"No picture in {self.directory} can be read; the first one: "
            f"{self.skipped[0]['reason']}"
        )


class TrainerWork:
    """The trainer's operations, by name; each takes JSON values and gives a JSON object.

    Args:
        backbone_directory: the person's own weight files.
        feature_directory: what backbones said of pictures.
        feature_store_bytes: how large that may become.
    """

    def __init__(
        self, backbone_directory: str, feature_directory: str, feature_store_bytes: int
    ) -> None:
        make_deterministic(_SEED)
        self._backbone_directory = Path(backbone_directory)
        self._store = FeatureStore(Path(feature_directory), feature_store_bytes, RECIPE)
        self._networks: dict[str, Network] = {}
        self.operations = {
            "prepare": self.prepare,
            "initial": self.initial,
            "train": self.train,
            "evaluate": self.evaluate,
            "draw": self.draw,
        }
        self._drawing = threading.Lock()

    def prepare(self, task: Any, report: Report, cancelled: Cancelled) -> dict[str, Any]:
        """Build a task's network: the fingerprint of its weights, the hash of its backbone."""
        network = self._network(task)
        return {"fingerprint": network.fingerprint, "backbone": network.backbone_sha256}

    def initial(
        self, task: Any, output: str, report: Report, cancelled: Cancelled
    ) -> dict[str, Any]:
        """Write a task's initial tail to the file ``output``."""
        network = self._network(task)
        network.reset()
        metadata = {
            "task": network.task.name,
            "fingerprint": network.fingerprint,
            "backbone": network.backbone_sha256,
        }
        write_weights(Path(output), network.weights(), metadata)
        return metadata

    def train(
        self,
        task: Any,
        pictures: str,
        start: str,
        settings: Any,
        seed: int,
        header: dict[str, Any],
        output: str,
        report: Report,
        cancelled: Cancelled,
    ) -> dict[str, Any]:
        """Train from the weights in ``start`` and write the update to ``output``.

        Args:
            task: the task, as JSON.
            pictures: folder of its splits; without validation pictures there are no val_ metrics.
            settings: TrainingSettings, as JSON.
            header: device and base_version of the update.

        Returns:
            num_samples (pictures trained on), history, metrics (its last epoch),
            skipped (pictures of all splits that could not be read, and why), evaluation (of
            what this device alone has learned, on its test pictures; None without any).

        Raises:
            EmptySplit: there is no picture to train on, or none that can be read.
        """
        chosen = TrainingSettings.model_validate(settings)
        network = self._network(task)
        learned = self._split(network, Path(pictures), "train", report, cancelled)
        if learned.problem:
            raise EmptySplit(learned.problem)
        validation = self._split_if_any(network, Path(pictures), "valid", report, cancelled)
        test = self._split_if_any(network, Path(pictures), "test", report, cancelled)
        network.load(read_weights(Path(start)))
        epochs: dict[str, list[float]] = {}

        def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
            for name, value in metrics.items():
                epochs.setdefault(name, []).append(value)
            progress = {"epoch": epoch, "epochs": chosen.epochs, "history": epochs}
            report({"phase": "training", **progress})

        measured = (validation.features, validation.labels) if validation else None
        history = train(
            network, learned.features, learned.labels, chosen, seed, measured, on_epoch, cancelled
        )
        metrics = {name: values[-1] for name, values in history.items()}
        complete = UpdateHeader(
            task=network.task.name,
            num_samples=len(learned.labels),
            metrics=metrics,
            fingerprint=network.fingerprint,
            **header,
        )
        write_weights(Path(output), network.weights(), complete.as_metadata())
        return {
            "num_samples": len(learned.labels),
            "history": history,
            "metrics": metrics,
            "evaluation": _measure(network, test) if test else None,
            "skipped": [
                picture
                for split in (learned, validation, test)
                if split
                for picture in split.skipped
            ],
        }

    def evaluate(
        self, task: Any, pictures: str, weights: str, report: Report, cancelled: Cancelled
    ) -> dict[str, Any]:
        """Measure the weights of a file on the split ``test``.

        Returns:
            evaluation (accuracy, loss, num_samples; None when no picture can be read),
            problem (why it is None), skipped.

        Raises:
            EmptySplit: there is no test picture.
        """
        network = self._network(task)
        split = self._split(network, Path(pictures), "test", report, cancelled)
        network.load(read_weights(Path(weights)))
        evaluation = _measure(network, split)
        return {"evaluation": evaluation, "problem": split.problem, "skipped": split.skipped}

    def draw(
        self,
        history: dict[str, list[float]],
        title: str,
        report: Report,
        cancelled: Cancelled,
    ) -> dict[str, Any]:
        """Draw the curves of a training, as ``train`` returned it: svg, a document.

        May run while another operation does. Only who looks pays: drawing takes longer than
        many a training.
        """
        with self._drawing:
            from shared.learning.plots import training_curves  # loads matplotlib

            return {"svg": training_curves(history, title).decode()}

    def _network(self, definition: Any) -> Network:
        """The task's network, kept until the task needs another one."""
        task = Task.model_validate(definition)
        network = self._networks.get(task.name)
        if network is None or _key(network.task) != _key(task):
            network = build_network(task, self._backbone_directory)
            self._networks[task.name] = network
        return network

    def _split_if_any(
        self,
        network: Network,
        directory: Path,
        name: str,
        report: Report,
        cancelled: Cancelled,
    ) -> _Split | None:
        try:
            return self._split(network, directory, name, report, cancelled)
        except EmptySplit:
            return None

    def _split(
        self,
        network: Network,
        directory: Path,
        name: str,
        report: Report,
        cancelled: Cancelled,
    ) -> _Split:
        pictures = read_split(directory / name, network.task.classes)

        def on_progress(done: int, total: int) -> None:
            report({"phase": "features", "split": name, "done": done, "total": total})
            if cancelled():
                raise TrainingCancelled("Cancelled while the pictures were read.")

        features = self._store.features(
            network,
            [picture.sha256 for picture in pictures],
            lambda index: decode(pictures[index].path, network.task.image_size),
            on_progress,
        )
        skipped = [
            {"picture": str(pictures[index].path.relative_to(directory)), "reason": reason}
            for index, reason in sorted(features.unreadable.items())
        ]
        labels = np.array([pictures[index].label for index in features.kept], np.int64)
        return _Split(directory / name, features.array, labels, skipped)


def _measure(network: Network, split: _Split) -> dict[str, Any] | None:
    if split.problem:
        return None
    measured = evaluate(network, split.features, split.labels)
    return {
        "accuracy": measured.accuracy,
        "loss": measured.loss,
        "num_samples": measured.num_samples,
    }


def _key(task: Task) -> tuple[Any, int]:
    return task.network(), task.seed
