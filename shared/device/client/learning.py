"""What the loop needs of a network and its data; learner.py has it with TensorFlow."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from shared.federated.task import Task, TrainingSettings
from shared.learning.local.kept import Files

OnEpoch = Callable[[int, dict[str, float]], None]
#: Told a few times a second: see shared.learning.training.OnLook.
OnLook = Callable[[float, float, float], None]


class Learning(Protocol):
    """Trains one task's network on chunks of a data set.

    Attributes:
        fingerprint: of the network, see Schema.fingerprint.
        backbone: the SHA-256 of its frozen part.
    """

    fingerprint: str
    backbone: str

    @property
    def num_samples(self) -> int:
        """In all chunks of this client together, as far as is known what can be read."""

    def write_initial(self, file: Path) -> None:
        """Write the network as it is before any training: what is offered as version 0."""

    def train(
        self,
        task: Task,
        files: Files,
        chunks: dict[int, int],
        chunk: int,
        settings: TrainingSettings,
        base_version: int,
        base_sha256: str | None,
        sequence: int,
        on_epoch: OnEpoch,
        on_look: OnLook,
        should_stop: Callable[[], bool],
    ) -> dict[int, int]:
        """Train on a chunk for the task's strategy, and write the update.

        The same arguments give the same bytes, in every process on one machine.

        Args:
            files: what is read and written.
            chunks: those that the start has seen and no acknowledged update holds, with the
                number of samples of each.
            base_version: of the global model that all this began with.
            base_sha256: of its file, in hex; None: that is not known.
            sequence: the update's number.

        Returns:
            ``chunks`` and this one.

        Raises:
            TrainingCancelled, TrainingDiverged
        """


#: Opens the data, checks it against the task, and builds the network.
MakeLearner = Callable[[Task], Learning]
