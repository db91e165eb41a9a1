"""What the trainer does: builds networks, trains them, measures them. Its process only."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.datasets import RECIPE, EmptySplit
from shared.device.trainer_pictures import Pictures, Split, Uploaded
from shared.device.trainer_predictions import Predictions
from shared.federated.evaluation import MOST_CELLS, Confusion
from shared.federated.task import Task, TrainingSettings
from shared.federated.weights import read_weights, write_weights
from shared.learning.determinism import make_deterministic
from shared.learning.evaluation import Evaluation, evaluate
from shared.learning.features import FeatureStore
from shared.learning.local.kept import Files, personal_layers
from shared.learning.local_training import Callbacks, Labelled, train_for
from shared.learning.network import Network, build_network

#: Every training is seeded by its caller; this one is for whatever asks no caller.
_SEED = 1

Report = Callable[[dict[str, Any]], None]
Cancelled = Callable[[], bool]


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
            "predict": Predictions(self._backbone_directory).predict,
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
        files: dict[str, str | None],
        settings: Any,
        seed: int,
        header: dict[str, Any],
        report: Report,
        cancelled: Cancelled,
        uploaded: Uploaded | None = None,
    ) -> dict[str, Any]:
        """Train for the task's strategy, and write the update.

        Args:
            task: the task, as JSON.
            pictures: folder of its splits; without validation pictures there are no val_ metrics.
            files: what is read and written, see :class:`~shared.learning.local.kept.Files`.
            settings: TrainingSettings, as JSON.
            header: device and base_version of the update.
            uploaded: pictures that lie elsewhere, taken after those of each split's folder.

        Returns:
            num_samples (pictures trained on), history, metrics (its last epoch),
            skipped (pictures of all splits that could not be read, and why), evaluation (of
            what this device alone has learned, on its test pictures; None without any).

        Raises:
            EmptySplit: there is no picture to train on, or none that can be read.
            NothingShared: the strategy leaves nothing of this network to send.
        """
        chosen, asked = TrainingSettings.model_validate(settings), Task.model_validate(task)
        network = self._network(task)
        album = Pictures(self._store, network, Path(pictures), uploaded, report, cancelled)
        learned = album.split("train")
        if learned.problem:
            raise EmptySplit(learned.problem)
        validation, test = album.split_if_any("valid"), album.split_if_any("test")
        epochs: dict[str, list[float]] = {}

        def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
            for name, value in metrics.items():
                epochs.setdefault(name, []).append(value)
            progress = {"epoch": epoch, "epochs": chosen.epochs, "history": epochs}
            report({"phase": "training", **progress})

        measured = (validation.features, validation.labels) if validation else None
        history = train_for(
            asked,
            network,
            Files(**{name: Path(path) for name, path in files.items() if path is not None}),
            Labelled(learned.features, learned.labels, measured),
            chosen,
            seed,
            {"num_samples": len(learned.labels), **header},
            Callbacks(on_epoch, cancelled),
        )
        measured_alone = _measure(network, test) if test else None
        return {
            "num_samples": len(learned.labels),
            "history": history,
            "metrics": {name: values[-1] for name, values in history.items()},
            "evaluation": measured_alone and _numbers(measured_alone),
            "skipped": [
                picture
                for split in (learned, validation, test)
                if split
                for picture in split.skipped
            ],
        }

    def evaluate(
        self,
        task: Any,
        pictures: str,
        weights: str,
        report: Report,
        cancelled: Cancelled,
        uploaded: Uploaded | None = None,
        kept: str | None = None,
    ) -> dict[str, Any]:
        """Measure the weights of a file, a global version, on the split ``test``.

        Args:
            kept: what this device keeps for the task's strategy.

        Returns:
            evaluation (accuracy, loss, num_samples, confusion; None when no picture can be
            read), problem (why it is None), skipped. Where layers stay on the device, the
            evaluation tells personal_accuracy and personal_loss, those with its own layers.

        Raises:
            EmptySplit: there is no test picture.
        """
        network = self._network(task)
        album = Pictures(self._store, network, Path(pictures), uploaded, report, cancelled)
        split = album.split("test")
        network.load(read_weights(Path(weights)))
        measured = _measure(network, split)
        evaluation = measured and _numbers(measured) | {"confusion": _cells(measured.confusion)}
        rule = Task.model_validate(task).rule
        own = personal_layers(rule, Path(weights), Path(kept) if kept else None)
        if evaluation and own:
            network.load(network.weights() | own)
            personal = evaluate(network, split.features, split.labels)
            evaluation["personal_accuracy"] = personal.accuracy
            evaluation["personal_loss"] = personal.loss
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


def _measure(network: Network, split: Split) -> Evaluation | None:
    return None if split.problem else evaluate(network, split.features, split.labels)


def _numbers(measured: Evaluation) -> dict[str, Any]:
    return {
        "accuracy": measured.accuracy,
        "loss": measured.loss,
        "num_samples": measured.num_samples,
    }


def _cells(counts: npt.NDArray[np.int64]) -> Confusion | None:
    """What is not zero in counts (classes, classes); None: more than is told."""
    right, answered = (places.tolist() for places in np.nonzero(counts))
    if len(right) > MOST_CELLS:
        return None
    return list(zip(right, answered, counts[right, answered].tolist(), strict=True))


def _key(task: Task) -> tuple[Any, int]:
    return task.network(), task.seed
