"""A federation in one process: devices train one after the other, as real ones train by themselves.

What runs is the code of devices and of the main server (train_for, the strategies), from files to
files; what is left out is everything between them: processes, HTTP, the store.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.federated.aggregation import Arrival, ServerState
from shared.federated.aggregation.state_file import open_state, write_state
from shared.federated.task import Task, TrainingSettings
from shared.federated.update import Update, UpdateHeader
from shared.federated.weights import (
    Array,
    Weights,
    apart,
    open_weights,
    read_weights,
    write_weights,
)
from shared.learning.evaluation import Evaluation, evaluate
from shared.learning.local.kept import Files
from shared.learning.local_training import Callbacks, Labelled, train_for
from shared.learning.network import Network

#: What becomes of the updates that all devices send, in their order, given what they started from.
Attack = Callable[[list[Update], Mapping[str, Array]], list[Update]]


@dataclass(frozen=True)
class VirtualDevice:
    """One device's features, (n, *network.feature_shape), and labels, int64 (n,)."""

    features: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]


class VirtualFederation:
    """A main server and its devices.

    Args:
        task: its strategy combines; its network is ``network``'s.
        folder: for files; what is in it is deleted.
        seed: of all trainings.
    """

    def __init__(
        self,
        task: Task,
        network: Network,
        devices: Sequence[VirtualDevice],
        folder: Path,
        seed: int,
    ) -> None:
        self._task, self._network, self._devices = task, network, devices
        self._folder, self._seed = folder, seed
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        network.reset()
        self.version, self._slots = 0, folder / "slots0"
        self._write(ServerState(network.weights()))
        self._kept: list[Path | None] = [None] * len(devices)

    @property
    def weights(self) -> dict[str, Array]:
        """Of the newest version."""
        return read_weights(self._model)

    def round(self, attack: Attack | None = None) -> None:
        """All devices train, and their updates become the next version.

        Args:
            attack: what becomes of updates before they are sent; None: nothing.
        """
        sent = [self._train(number) for number in range(len(self._devices))]
        with open_weights(self._model) as base:
            updates = [self._opened(files) for files in sent]
            if attack is not None:
                updates = attack(updates, dict(base))
            arrivals = [Arrival(update, base) for update in updates]
            slots = self._read_slots()
            made = self._task.rule.next(
                ServerState(base, slots=slots), arrivals, len(self._devices)
            )
            made = replace(
                made,
                weights=dict(made.weights),
                slots={name: dict(held) for name, held in made.slots.items()},
            )
        self.version += 1
        self._write(made)
        for files in sent:
            files.update.unlink()
            if files.kept is not None:
                files.kept.unlink()
        self._kept = [files.keeps if files.keeps.exists() else None for files in sent]

    def measure(self, features: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> Evaluation:
        """How well the newest version does."""
        self._network.load(self.weights)
        return evaluate(self._network, features, labels)

    def _train(self, number: int) -> Files:
        device, name = self._devices[number], f"{number}-{self.version}"
        files = Files(
            start=self._model,
            base=self._model,
            update=self._folder / f"update{name}",
            keeps=self._folder / f"keeps{name}",
            kept=self._kept[number],
            sent=self._slots if self._task.rule.sends and self._slots.exists() else None,
        )
        train_for(
            self._task,
            self._network,
            files,
            Labelled(device.features, device.labels),
            self._task.training,
            (self._seed * 1_000_003 + self.version * 1009 + number) % 2**31,
            {
                "device": f"device{number:02}",
                "base_version": self.version,
                "num_samples": len(device.labels),
            },
            Callbacks(lambda *_: None, lambda: False),
        )
        return files

    def _opened(self, files: Files) -> Update:
        with open_weights(files.update) as opened:
            header = UpdateHeader.parse(opened.metadata)
            plain, slots = apart(opened)
            weights = dict(plain)
            carried = {name: dict(held) for name, held in slots.items()}
        return Update(header.device, header.num_samples, weights, told=header.told, carried=carried)

    def _read_slots(self) -> Mapping[str, Weights]:
        if not self._slots.exists():
            return {}
        with open_state(self._slots) as slots:
            return {name: dict(held) for name, held in slots.items()}

    def _write(self, state: ServerState) -> None:
        metadata = {"version": str(self.version)}
        if self.version:
            metadata |= {"strategy": self._task.strategy, "began": "0"}
        self._model = self._folder / f"version{self.version}"
        write_weights(self._model, state.weights, metadata)
        (self._folder / f"version{self.version - 1}").unlink(missing_ok=True)
        self._slots.unlink(missing_ok=True)
        self._slots = self._folder / f"slots{self.version}"
        if state.slots:
            write_state(self._slots, state)


def with_strategy(
    task: Task, strategy: str, parameters: Mapping[str, Any], training: TrainingSettings
) -> Task:
    """The same task with another strategy and another training."""
    changed = task.model_dump() | {
        "strategy": strategy,
        "strategy_parameters": dict(parameters),
        "training": training.model_dump(),
    }
    return Task.model_validate(changed)
