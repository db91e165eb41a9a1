"""The trainer of an idle device: reads and writes weights as a training does, and adds a number.

IDLE_NUMBERS and IDLE_ARRAYS in the environment: how many weights there are, in how many arrays.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.idle_device import ADDED, SAMPLES, initial_weights
from shared.device.trainer import Operations, Trainer
from shared.federated.update import UpdateHeader
from shared.federated.weights import Schema, read_weights, write_weights
from shared.web import logs

_BACKBONE = "0" * 64
_METRICS = {"loss": 0.5, "accuracy": 0.5}


class IdleWork:
    """The operations of shared/device/trainer_work.py, without a network."""

    def __init__(self) -> None:
        numbers, arrays = int(os.environ["IDLE_NUMBERS"]), int(os.environ["IDLE_ARRAYS"])
        self._initial = initial_weights(numbers, arrays)
        self._fingerprint = Schema.of(self._initial).fingerprint(_BACKBONE)
        self.operations: Operations = {
            "prepare": self.prepare,
            "initial": self.initial,
            "train": self.train,
            "evaluate": self.evaluate,
        }

    def prepare(self, **_: Any) -> dict[str, Any]:
        """There is nothing to build."""
        return {"fingerprint": self._fingerprint, "backbone": _BACKBONE}

    def initial(self, task: Any, output: str, **_: Any) -> dict[str, Any]:
        """Write the weights that every device has at first."""
        metadata = {
            "task": task["name"],
            "fingerprint": self._fingerprint,
            "backbone": _BACKBONE,
        }
        write_weights(Path(output), self._initial, metadata)
        return metadata

    def train(
        self, task: Any, files: dict[str, str], header: dict[str, Any], report: Any, **_: Any
    ) -> dict[str, Any]:
        """Add this device's number to the weights that it starts from."""
        device = header["device"]
        added = np.float32(ADDED[device])
        weights = {
            name: array + added for name, array in read_weights(Path(files["start"])).items()
        }
        report({"phase": "training", "epoch": 1, "epochs": 1, "history": {"loss": [0.5]}})
        complete = UpdateHeader(
            task=task["name"],
            num_samples=SAMPLES[device],
            metrics=_METRICS,
            fingerprint=self._fingerprint,
            **header,
        )
        write_weights(Path(files["update"]), weights, complete.as_metadata())
        return {
            "num_samples": SAMPLES[device],
            "history": {name: [value] for name, value in _METRICS.items()},
            "metrics": _METRICS,
            "evaluation": None,
            "skipped": [],
        }

    def evaluate(self, weights: str, **_: Any) -> dict[str, Any]:
        """Read the weights, as an evaluation does; each device is as good as the other."""
        read_weights(Path(weights))
        evaluation = _METRICS | {"num_samples": 10}
        return {"evaluation": evaluation, "problem": None, "skipped": []}


if __name__ == "__main__":
    logs.configure(sys.argv[1])
    Trainer().run(lambda: IdleWork().operations)
