"""What the trainer answers for single pictures, beside whatever it is training."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.datasets import decode
from shared.federated.task import Task
from shared.learning.predictor import Predictor

#: Networks kept for this; those of the least recently asked tasks go.
_MOST_PREDICTORS = 3
#: Classes told, the most likely ones.
_MOST_CLASSES = 10


class Predictions:
    """Networks that only answer, one a task; one picture at a time.

    Args:
        backbone_directory: the person's own weight files.
    """

    def __init__(self, backbone_directory: Path) -> None:
        self._backbone_directory = backbone_directory
        self._predictors: dict[str, Predictor] = {}
        self._lock = threading.Lock()

    def predict(
        self,
        task: Any,
        picture: str,
        weights: str,
        report: Callable[[dict[str, Any]], None],
        cancelled: Callable[[], bool],
        kept: str | None = None,
    ) -> dict[str, Any]:
        """Say what a picture shows.

        Args:
            task: the task, as JSON.
            picture: a JPEG or PNG file.
            weights: file of the tail that answers, a global version.
            kept: what this device keeps for the task's strategy: layers of its own answer.

        Returns:
            classes (name and probability of the ten most likely, the most likely first),
            seconds (decode: of reading the picture; model: of answering).

        Raises:
            UnreadablePicture: there is no picture in the file.
        """
        asked = Task.model_validate(task)
        started = time.perf_counter()
        pixels = decode(Path(picture), asked.image_size, asked.channels)
        decoded = time.perf_counter()
        with self._lock:
            predictor = self._predictor(asked)
            predictor.load(Path(weights), asked.rule, Path(kept) if kept else None)
            ready = time.perf_counter()
            probabilities = predictor.probabilities(pixels)
            answered = time.perf_counter()
        likely = (-probabilities).argsort(kind="stable")[:_MOST_CLASSES]
        return {
            "classes": [
                {"name": asked.classes[index], "probability": float(probabilities[index])}
                for index in likely
            ],
            "seconds": {"decode": decoded - started, "model": answered - ready},
        }

    def _predictor(self, task: Task) -> Predictor:
        """The task's predictor, kept while its network stays the same."""
        predictor = self._predictors.pop(task.name, None)
        if predictor is None or predictor.task.network() != task.network():
            predictor = Predictor(task, self._backbone_directory)
        self._predictors[task.name] = predictor
        while len(self._predictors) > _MOST_PREDICTORS:
            del self._predictors[next(iter(self._predictors))]
        return predictor
