"""A network in two parts: a frozen backbone, and the tail that is trained and averaged."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.federated.task import Architecture, Task
from shared.federated.weights import Array, Schema
from shared.learning.architectures.catdog_cnn import build_catdog_cnn
from shared.learning.architectures.mnist_cnn import build_mnist_cnn
from shared.learning.architectures.mnist_mlp import build_mnist_mlp
from shared.learning.architectures.mobilenet import build_mobilenet
from shared.learning.architectures.parts import Parts
from shared.learning.architectures.pixels import SCALE, SHIFT
from shared.learning.backbone import BackboneMissing, BackboneUnfit, assign
from shared.learning.loading import keras, tf
from shared.learning.processors import processors
from shared.learning.runtime import BackboneRuntime

__all__ = ["BackboneMissing", "BackboneUnfit", "Network", "build_network"]

_BUILDERS: Mapping[Architecture, Callable[[Task, Path], Parts]] = {
    "mobilenet": build_mobilenet,
    "catdog_cnn": build_catdog_cnn,
    "mnist_mlp": build_mnist_mlp,
    "mnist_cnn": build_mnist_cnn,
}
#: Pictures the tail sees at once when nothing is trained.
_ANSWER_BATCH = 256


class Network:
    """One task's network. Make it with :func:`build_network`.

    Attributes:
        task: what it was built for.
        backbone_sha256: hex, over names and bytes of the frozen weights.
        features_key: names all of the network that determines features of decoded pictures.
        feature_shape: of one picture's features.
        feature_dtype: float32; uint8 where the features are the pixels.
        tail: a Keras model from features (n, *feature_shape) to logits (n, classes).
        fingerprint: of the tail's schema and the backbone; see Schema.fingerprint.
        training_loop: what the training keeps between its calls; None before the first one.
    """

    def __init__(self, task: Task, backbone: keras.Model | None, tail: keras.Model) -> None:
        self.task = task
        self.tail = tail
        self.feature_shape: tuple[int, ...] = tuple(tail.input.shape[1:])
        self.feature_dtype = np.dtype(str(tail.input.dtype))
        self.backbone_sha256 = _sha256(_values(backbone) if backbone else {})
        self.features_key = _features_key(task, self.backbone_sha256, self.feature_shape)
        self.training_loop: Any = None
        self._initial = self.weights()
        self.fingerprint = Schema.of(self._initial).fingerprint(self.backbone_sha256)
        self._runtime = (
            BackboneRuntime(backbone, task.image_size, SCALE, SHIFT, processors())
            if backbone
            else None
        )
        self._answer = _compile_tail(tail)

    def extract(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """What the backbone says of pictures uint8 (n, s, s, channels), grey or RGB.

        Returns:
            Features (n, *feature_shape), float32; the pictures themselves, uint8, where
            everything is trained.

        Raises:
            ValueError: pictures of another shape or type.
        """
        size, channels = self.task.image_size, self.task.channels
        if pictures.shape[1:] != (size, size, channels) or pictures.dtype != np.uint8:
            raise ValueError(
                f"pictures are {pictures.dtype} {pictures.shape}, not {size} pixels a side in "
                f"{channels} channels"
            )
        if self._runtime is None:
            return pictures
        return self._runtime.run(pictures)

    def answer(self, features: npt.NDArray[Any]) -> Array:
        """Logits float32 (n, classes) for features (n, *feature_shape)."""
        logits = np.empty((len(features), len(self.task.classes)), np.float32)
        for begin in range(0, len(features), _ANSWER_BATCH):
            part = features[begin : begin + _ANSWER_BATCH]
            logits[begin : begin + len(part)] = self._answer(tf.constant(part)).numpy()
        return logits

    def weights(self) -> dict[str, Array]:
        """A copy of every variable of the tail, trained or not, by its Keras path."""
        return _values(self.tail)

    def load(self, weights: Mapping[str, Array]) -> None:
        """Set the tail to ``weights``.

        Raises:
            SchemaMismatch: other names, shapes or types; nothing has changed.
        """
        Schema.of(self._initial).check(Schema.of(weights))
        assign(self.tail, weights)

    def reset(self) -> None:
        """Go back to the tail as it was built, the same on every device."""
        assign(self.tail, self._initial)


def build_network(task: Task, backbone_directory: Path) -> Network:
    """Build the network of a task: equal tasks and backbones give equal weights, everywhere.

    Args:
        task: its architecture, width, image size, backbone and trainable depth.
        backbone_directory: this device's own folder of weight files.

    Raises:
        BackboneMissing: the backbone's file is not on this device; says where to put it.
        BackboneUnfit: the backbone's file is damaged or of another network.
    """
    backbone, tail = _BUILDERS[task.architecture](task, backbone_directory)
    return Network(task, backbone, tail)


def _compile_tail(tail: keras.Model) -> Any:
    def answer(features: Any) -> Any:
        return tail(features, training=False)

    signature = [tf.TensorSpec(tail.input.shape, tail.input.dtype)]
    return tf.function(answer, input_signature=signature).get_concrete_function()


def _values(model: keras.Model) -> dict[str, Array]:
    return {variable.path: np.array(variable.numpy(), np.float32) for variable in model.weights}


def _sha256(weights: Mapping[str, Array]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + b"\0" + weights[name].tobytes())
    return digest.hexdigest()


def _features_key(task: Task, backbone_sha256: str, shape: tuple[int, ...]) -> str:
    parts = [backbone_sha256, task.image_size, shape, SCALE, SHIFT]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]
    return f"{task.architecture}-{task.trainable}-{task.image_size}-{digest}"
