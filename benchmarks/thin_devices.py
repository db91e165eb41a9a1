"""Devices that do nothing but talk: many of them in one process, over real HTTP.

Each has a name, a token and a port of its own, enrols as every device does, and answers the
three steps: it trains nothing, sends a prepared update, and reads a version into nothing. So
many rounds can be measured on one machine.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Self

import numpy as np

from shared.federated.weights import Array

TASK = "thin"
TASKS = f"""
[tasks.{TASK}]
classes = ["one", "other"]
"""
#: The largest array of a MobileNet has so many numbers.
_LARGEST_ARRAY = 1024 * 1024
#: Devices have one of so many different updates, by turns.
KINDS = 2


def weights(kind: int, numbers: int) -> dict[str, Array]:
    """What devices of a kind send: ``numbers`` float32 numbers, in arrays as of a MobileNet."""
    values = np.random.default_rng(kind).standard_normal(numbers, np.float32)
    arrays = -(-numbers // _LARGEST_ARRAY)
    return {f"layer{i:02}": part for i, part in enumerate(np.array_split(values, arrays))}


def average(devices: int, numbers: int) -> dict[str, Array]:
    """What all their updates make: their mean, weighted by samples, in float64."""
    kinds = [weights(kind, numbers) for kind in range(KINDS)]
    shares = [sum(samples(i) for i in range(kind, devices, KINDS)) for kind in range(KINDS)]
    total = sum(shares)
    return {
        name: np.asarray(
            sum(
                each[name].astype(np.float64) * share
                for share, each in zip(shares, kinds, strict=True)
            )
            / total,
            np.float32,
        )
        for name in kinds[0]
    }


def samples(index: int) -> int:
    """How many samples the device of that number says it has."""
    return 10 + index


class ThinDevices:
    """The process of ``number`` devices; enrolled, and version 0 is made, within the block.

    Args:
        main_port: the main server's, on 127.0.0.1.
        number: of devices.
        numbers: float32 numbers of a model.
        directory: for the updates' files.
    """

    def __init__(self, main_port: int, number: int, numbers: int, directory: Path) -> None:
        self._arguments = [str(value) for value in (main_port, number, numbers, directory)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.thin_device_process", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self.pid = self._process.pid
        line = self._process.stdout.readline()
        if not line:
            self.__exit__()
            raise AssertionError("the thin devices did not start; see above")
        told: dict[str, float] = json.loads(line)
        #: Of one device, alone: the mean of all.
        self.enrolment_seconds = told["enrolment_seconds"]
        self.heartbeat_seconds = told["heartbeat_seconds"]
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()  # it ends by that
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
