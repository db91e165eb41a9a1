"""Answering for one picture at a time, also while another network is being trained.

TensorFlow has one thread for compiled functions, and a training keeps it until its last epoch:
another function would wait for it. So here all is run by LiteRT, in the thread that asks.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.federated.aggregation import Strategy
from shared.federated.task import Task
from shared.federated.weights import read_weights
from shared.learning.loading import tf
from shared.learning.local.kept import personal_layers
from shared.learning.network import build_network
from shared.learning.runtime import convert, make_interpreter

#: A file as it is: its path, its inode, its size and when it last changed.
_Stamp = tuple[Path, int, int, int]
#: What the weights come from.
_Loaded = tuple[str, _Stamp, _Stamp | None]


class Predictor:
    """A network of its own for one task: a training changes the tail of the other one.

    One thread at a time, but beside any training. Load weights first.

    Args:
        task: what to answer.
        backbone_directory: this device's own folder of weight files.

    Raises:
        BackboneMissing, BackboneUnfit: as :func:`build_network`.
    """

    def __init__(self, task: Task, backbone_directory: Path) -> None:
        self._network = build_network(task, backbone_directory)
        self._tail: Any = None
        self._loaded: _Loaded | None = None

    @property
    def task(self) -> Task:
        """What it answers."""
        return self._network.task

    def load(self, weights: Path, rule: Strategy | None = None, kept: Path | None = None) -> None:
        """Answer with the weights of a global version, and layers that stay on this device.

        A file that is new or has changed takes a second, any other nothing.

        Args:
            rule: the task's strategy; None: one that leaves nothing on the device.
            kept: what this device keeps for it; None: nothing.

        Raises:
            FedbellError: the file is damaged, or of another network.
        """
        loaded = rule.key if rule else "", _stamp(weights), _stamp(kept) if kept else None
        if loaded != self._loaded:
            network = self._network
            own = personal_layers(rule, weights, kept) if rule else {}
            network.load(read_weights(weights) | own)
            tail = tf.function(
                lambda features: network.tail(features, training=False),
                input_signature=[tf.TensorSpec((1, *network.feature_shape), network.feature_dtype)],
                autograph=False,
            )
            self._tail = make_interpreter(convert(tail))
            self._loaded = loaded

    def probabilities(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """How likely each class is, (classes,), for a picture uint8 (s, s, channels)."""
        features = self._network.extract(picture[np.newaxis])
        self._tail.set_tensor(self._tail.get_input_details()[0]["index"], features)
        self._tail.invoke()
        output = self._tail.get_tensor(self._tail.get_output_details()[0]["index"])
        logits = np.asarray(output[0], np.float64)
        chances = np.exp(logits - logits.max())
        return np.asarray(chances / chances.sum())


def _stamp(file: Path) -> _Stamp:
    status = file.stat()
    return file, status.st_ino, status.st_size, status.st_mtime_ns
