"""A small task and its pictures."""

from typing import Any

import numpy as np
import numpy.typing as npt

from shared.federated.task import Task

SIZE = 32


def make_task(**changes: Any) -> Task:
    """A task of two classes and small pictures."""
    settings = {"name": "sides", "classes": ("left", "right"), "image_size": SIZE}
    return Task.model_validate(settings | changes)


def make_pictures(count: int, seed: int = 1) -> tuple[npt.NDArray[np.uint8], Any]:
    """Noise with a bright bar: left of the middle (0) or right of it (1)."""
    generator = np.random.default_rng(seed)
    pictures = generator.integers(0, 80, (count, SIZE, SIZE, 3), dtype=np.uint8)
    labels = generator.integers(0, 2, count)
    for picture, label in zip(pictures, labels, strict=True):
        begin = 4 + 16 * label + generator.integers(0, 4)
        picture[:, begin : begin + 6] += 150
    return pictures, labels
