"""A client's network and its data: the one module of a client that loads TensorFlow."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from shared.datasets.chunks import ChunkedDataset
from shared.device.client.learning import OnEpoch, OnLook
from shared.device.client.settings import ClientSettings
from shared.federated.task import Task, TrainingSettings
from shared.federated.weights import write_weights
from shared.learning.determinism import make_deterministic
from shared.learning.local.kept import Files
from shared.learning.local_training import Callbacks, Labelled, train_for
from shared.learning.network import build_network

#: Every training is seeded by itself; this one is for whatever asks nobody.
_SEED = 1


class Learner:
    """See :class:`shared.device.client.learning.Learning`."""

    def __init__(self, task: Task, dataset: ChunkedDataset, settings: ClientSettings) -> None:
        make_deterministic(_SEED)
        self._network = build_network(task, settings.backbone_directory)
        self._dataset = dataset
        self._name = settings.id
        first, last = settings.shards
        #: By chunk; what cannot be read is known once a chunk was trained on.
        self._sizes = dict.fromkeys(range(first, last), settings.chunk_size)
        self._sizes[last] = len(dataset.chunk(last).labels)
        self.fingerprint = self._network.fingerprint
        self.backbone = self._network.backbone_sha256

    @property
    def num_samples(self) -> int:
        """See :class:`Learning`."""
        return sum(self._sizes.values())

    def write_initial(self, file: Path) -> None:
        """See :meth:`Learning.write_initial`."""
        self._network.reset()
        metadata = {
            "task": self._network.task.name,
            "fingerprint": self.fingerprint,
            "backbone": self.backbone,
        }
        write_weights(file, self._network.weights(), metadata)

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
        """See :meth:`Learning.train`."""
        samples = self._dataset.chunk(chunk)
        learned = chunks | {chunk: len(samples.labels)}
        train_for(
            task,
            self._network,
            files,
            Labelled(self._network.extract(samples.pictures), samples.labels),
            settings,
            training_seed(task, self._name, sequence),
            {
                "device": self._name,
                "base_version": base_version,
                "base_sha256": base_sha256,
                "num_samples": sum(learned.values()),
                "sequence": sequence,
            },
            Callbacks(on_epoch, should_stop, on_look),
        )
        self._sizes[chunk] = len(samples.labels)
        return learned


def training_seed(task: Task, client: str, sequence: int) -> int:
    """Of one training: the same when it is repeated after a kill, and only then."""
    digest = sha256(f"{task.seed}/{client}/#{sequence}".encode()).digest()
    return int.from_bytes(digest[:4]) >> 1
