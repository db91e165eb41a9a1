"""Where the weights of a backbone come from: this package, ImageNet, or a file of the user's."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from shared.errors import FedbellError
from shared.federated.task import Task
from shared.federated.weights import Array, Schema, read_weights
from shared.learning.download import DownloadFailed, download
from shared.learning.loading import keras

BUILTIN = Path(__file__).parent / "backbones" / "mobilenet_0.25_96.safetensors"
_BUILTIN_ALPHA = 0.25
_IMAGENET_URL = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/"


class BackboneMissing(FedbellError):
    """The weights a task is built on are not on this device and cannot be fetched."""

    status = 409
    title = "A backbone is missing"


class BackboneUnfit(FedbellError):
    """The file is there, but it does not hold the weights of this task's network."""

    status = 409
    title = "A backbone file does not fit"


def load_backbone(task: Task, backbone_directory: Path, network: keras.Model) -> None:
    """Load the weights that ``task.backbone`` names into ``network``.

    Args:
        task: names the backbone and its width; its architecture is mobilenet.
        backbone_directory: this device's own folder of weight files.
        network: a MobileNet of the task's width; layers are found by name.

    Raises:
        BackboneMissing: there is no such file; says which, and where to put it.
        BackboneUnfit: the file is damaged or belongs to another network.
    """
    path = _find(task, backbone_directory)
    expected = {variable.path: tuple(variable.shape) for variable in network.weights}
    try:
        arrays = read_keras_h5(path, network) if path.suffix == ".h5" else read_weights(path)
        Schema(tuple(sorted(expected.items()))).check(Schema.of(arrays))
    except (FedbellError, OSError, KeyError, ValueError) as error:
        raise BackboneUnfit(
            f"{path} does not hold the weights of a MobileNet of width {task.alpha}, "
            f"which task {task.name} asks for: {error}. Replace the file."
        ) from error
    assign(network, arrays)


def assign(model: keras.Model, arrays: Mapping[str, Array]) -> None:
    """Set every variable of ``model`` to the array of its name."""
    for variable in model.weights:
        variable.assign(arrays[variable.path])


def imagenet_file(alpha: float) -> str:
    """The name keras.applications gives the ImageNet weights of this width."""
    tenths, hundredths = divmod(round(alpha * 100), 100) if alpha >= 1 else divmod(alpha * 100, 10)
    return f"mobilenet_{int(tenths)}_{int(hundredths)}_224_tf_no_top.h5"


def keras_models_directory() -> Path:
    """Where Keras keeps what it downloaded: $KERAS_HOME/models, or ~/.keras/models."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def read_keras_h5(path: Path, network: keras.Model) -> dict[str, Array]:
    """Read a Keras HDF5 weight file, layer by layer, under the variable paths of ``network``.

    Within a layer the order counts, not the name: a depthwise kernel is called
    ``depthwise_kernel`` in older files.

    Raises:
        OSError: not an HDF5 file.
        KeyError: a layer is missing.
        ValueError: a layer holds another number of arrays.
    """
    arrays: dict[str, Array] = {}
    with h5py.File(path) as file:
        root: Any = file.get("model_weights", file)
        for layer in network.layers:
            if not layer.weights:
                continue
            if layer.name not in root:
                raise KeyError(f"layer {layer.name} is missing")
            group = root[layer.name]
            names: Sequence[str] = group.attrs["weight_names"]
            for variable, name in zip(layer.weights, names, strict=True):
                arrays[variable.path] = np.asarray(group[name], np.float32)
    return arrays


def _find(task: Task, backbone_directory: Path) -> Path:
    """The file of this task's backbone, downloaded if need be."""
    if task.backbone == "builtin":
        return _builtin(task)
    if task.backbone == "imagenet":
        return _imagenet(task, backbone_directory)
    path = backbone_directory / str(task.backbone).removeprefix("file:")
    if not path.is_file():
        raise BackboneMissing(
            f"Task {task.name} is built on {path.name}, which is not on this device. "
            f"Put the file into {backbone_directory}.",
            file=path.name,
            folders=[str(backbone_directory)],
        )
    return path


def _builtin(task: Task) -> Path:
    if task.alpha != _BUILTIN_ALPHA:
        raise BackboneMissing(
            f"The built-in backbone has width {_BUILTIN_ALPHA}; task {task.name} asks for "
            f'{task.alpha}. Set alpha = {_BUILTIN_ALPHA}, or backbone = "imagenet".'
        )
    if not BUILTIN.is_file():
        raise BackboneMissing(
            f"The built-in backbone {BUILTIN} is missing. Install Fedbell again, "
            "or make it with `make pretrain`.",
            file=BUILTIN.name,
            folders=[str(BUILTIN.parent)],
        )
    return BUILTIN


def _imagenet(task: Task, backbone_directory: Path) -> Path:
    name, cache = imagenet_file(cast("float", task.alpha)), keras_models_directory()
    for folder in (backbone_directory, cache):
        if (folder / name).is_file():
            return folder / name
    try:
        download(_IMAGENET_URL + name, cache / name)
    except DownloadFailed as error:
        raise BackboneMissing(
            f"Task {task.name} is built on the ImageNet weights {name}, which are not on this "
            f"device and could not be downloaded ({error}). "
            f"Put the file into {backbone_directory} or {cache}.",
            file=name,
            folders=[str(backbone_directory), str(cache)],
        ) from error
    return cache / name
