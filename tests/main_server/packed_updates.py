"""Packed updates of thin devices, written as devices do."""

from pathlib import Path
from typing import Any, get_args

import numpy as np

from shared.federated.update import PackingName, UpdateHeader
from shared.federated.weights import Array, Schema
from tests.federated.packed import f32, packed, unpacked

from .conftest import BACKBONE, ThinDevice, initial_weights

METHODS: tuple[PackingName, ...] = get_args(PackingName)
#: Also what is not packed, to be compared with.
ALL = ("none", *METHODS)


def header(device: ThinDevice, weights: dict[str, Array], /, **told: Any) -> UpdateHeader:
    """What an update of a device says."""
    right: dict[str, Any] = {
        "task": device.task,
        "device": device.name,
        "base_version": 0,
        "num_samples": 10,
        "metrics": {"loss": 0.5},
        "fingerprint": Schema.of(weights).fingerprint(BACKBONE),
    }
    return UpdateHeader.model_validate(right | told)


def trained(number: float) -> dict[str, Array]:
    """Weights that no packing but "none" tells exactly."""
    more = np.linspace(0.1, 1, 6, dtype=np.float32).reshape(3, 2) * np.float32(number)
    return {"head/kernel": initial_weights()["head/kernel"] + more, "head/bias": f32(number, 0)}


def update(device: ThinDevice, method: str, number: float = 1.0, /, **told: Any) -> bytes:
    """The body of an update that started from the initial weights."""
    weights = trained(number)
    return packed(weights, initial_weights(), method, header=header(device, weights, **told))[0]


def what_it_says(body: bytes, method: str) -> dict[str, Array]:
    if method == "none":
        return trained(1.0)
    (packing,) = (each for each in METHODS if each == method)
    return unpacked(body, packing, initial_weights())


def files_of_updates(state: Path) -> list[Path]:
    return [path for path in (state / "updates").rglob("*") if path.is_file()]
