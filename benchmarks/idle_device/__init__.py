"""Devices that are real but for their training, which adds one number to every weight.

So a round costs what is around the training: HTTP, checks, files, the store. The number is
the device's share in what a test of the average can tell.
"""

from collections.abc import Mapping

import numpy as np

from shared.federated.weights import Array

#: By device: what its training adds to every weight, and the samples it says it has.
ADDED: Mapping[str, float] = {"device1": 1.0, "device2": 5.0}
SAMPLES: Mapping[str, int] = {"device1": 100, "device2": 300}
#: What a round adds to the global model: the mean, weighted by samples.
ADDED_BY_A_ROUND = 4.0


def initial_weights(numbers: int, arrays: int) -> dict[str, Array]:
    """``arrays`` float32 arrays of ``numbers`` numbers in all, whole and small: sums are exact."""
    random = np.random.default_rng(1)
    values = random.integers(-100, 100, numbers).astype(np.float32)
    return {f"layer{i:02}": part for i, part in enumerate(np.array_split(values, arrays))}
