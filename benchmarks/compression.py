"""What packed updates cost and save: bytes of an update, and accuracy after some rounds.

Federations of 2 and of 10 devices in one process, with each packing: the head of the built-in
MobileNet on the built-in digits, dealt unevenly, and the perceptron of McMahan et al. 2017 on MNIST
from $FEDBELL_TEST_DATA, 600 pictures a device; without it, on the digits. Each update is written as
a device writes it, and read as the main server reads it. Accuracy is that of the global model on
the test pictures of all devices, after as many rounds for each packing.

    python -m benchmarks.compression
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.federation_gain import Split, joined, read, trained
from benchmarks.report import TEST_DATA, begin
from main_server.settings import read_tasks
from shared.datasets import RECIPE
from shared.datasets.digits import write_digits
from shared.datasets.mnist import MnistChunks, find_mnist
from shared.federated.aggregation import Arrival, ServerState
from shared.federated.aggregation.fedavg import FedAvg
from shared.federated.packing import read_update, write_update
from shared.federated.policies import CompressionSettings
from shared.federated.task import Task, TrainingSettings
from shared.federated.update import Update, UpdateHeader
from shared.federated.weights import Array, Schema, Weights
from shared.learning.determinism import make_deterministic
from shared.learning.evaluation import evaluate
from shared.learning.features import FeatureStore
from shared.learning.network import Network, build_network

PACKINGS = {
    "float32": CompressionSettings(),
    "float16": CompressionSettings(method="float16"),
    "int8": CompressionSettings(method="int8"),
    "top-k, 10 %": CompressionSettings(method="top_k", fraction=0.1),
    "top-k, 1 %": CompressionSettings(method="top_k", fraction=0.01),
}
DEVICES: Sequence[int] = (2, 10)
QUICK_DEVICES: Sequence[int] = (2,)
SEEDS: Sequence[int] = (1, 2, 3)
QUICK_SEEDS: Sequence[int] = (1,)
ROUNDS, QUICK_ROUNDS = 20, 2
MNIST_PICTURES, MNIST_TEST_PICTURES = 600, 5000
#: Thousands of updates are written and fsynced: on a disk that would be most of the time.
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there


@dataclass(frozen=True)
class Federation:
    """Devices that train one network, each on its own pictures."""

    data: str
    network: Network
    splits: Sequence[Split]
    test: Split

    @property
    def name(self) -> str:
        task, weights = self.network.task, self.network.weights()
        part = "" if task.trainable == "all" else f"{task.trainable} of "
        numbers = sum(array.size for array in weights.values())
        return f"{part}{task.architecture}, {numbers:,} weights, on {self.data}"


@dataclass
class Measured:
    """What one packing came to in one federation."""

    update_bytes: list[int] = field(default_factory=list)
    #: Of each seed, after each round.
    accuracies: list[list[float]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        last = [accuracies[-1] for accuracies in self.accuracies]
        return {
            "update_bytes": median(self.update_bytes),
            "accuracy": {"mean": float(np.mean(last)), "deviation": float(np.std(last))},
            "accuracy_by_round": np.mean(self.accuracies, axis=0).tolist(),
        }


def run_rounds(
    federation: Federation, settings: CompressionSettings, seed: int, rounds: int, file: Path
) -> tuple[list[int], list[float]]:
    """Train, send and average; bytes of each update, and test accuracy after each round.

    Args:
        file: where updates are written.
    """
    network, splits = federation.network, federation.splits
    network.reset()
    newest: Weights = network.weights()
    residuals: list[dict[str, Array]] = [{} for _ in splits]
    sizes, accuracies = [], []
    for number in range(rounds):
        arrivals = []
        for index, split in enumerate(splits):
            network.load(newest)
            own = (seed * rounds + number) * len(splits) + index
            trained(network, split, network.task.training, own)
            header = told(network, f"device{index + 1}", number, len(split.labels))
            residuals[index] = write_update(
                file, network.weights(), newest, header, settings, own, residuals[index]
            )
            sizes.append(file.stat().st_size)
            came = read_update(file, newest, Schema.of(newest))
            arrivals.append(Arrival(Update(header.device, header.num_samples, came), newest))
        state = FedAvg().next(ServerState(newest), arrivals, len(splits))
        newest = dict(state.weights)
        network.load(newest)
        measured = evaluate(network, federation.test.features, federation.test.labels)
        accuracies.append(measured.accuracy)
    return sizes, accuracies


def told(network: Network, device: str, base_version: int, samples: int) -> UpdateHeader:
    """As long as a device's header is."""
    return UpdateHeader(
        task=network.task.name,
        device=device,
        base_version=base_version,
        base_sha256="0" * 64,
        num_samples=samples,
        sequence=base_version + 1,
        metrics={"loss": 0.512345, "accuracy": 0.912345},
        history={"loss": [0.512345], "accuracy": [0.912345]},
        fingerprint=network.fingerprint,
    )


def digits(network: Network, devices: int, work: Path) -> tuple[list[Split], Split]:
    """The built-in pictures of each device, and the test pictures of all."""
    names, folder = [f"device{number + 1}" for number in range(devices)], work / f"of-{devices}"
    write_digits(folder, names)
    store = FeatureStore(work / "features", decoding=RECIPE)
    train, test = (
        [read(network, store, folder / name / "digits" / split) for name in names]
        for split in ("train", "test")
    )
    return train, joined(test)


def mnist(network: Network, devices: int) -> tuple[list[Split], Split] | None:
    """The first pictures of MNIST, a chunk for each device; None: it is not there."""
    if not (files := find_mnist(TEST_DATA / "mnist")):
        return None
    task = network.task
    chunks = MnistChunks(files, task.classes, task.image_size, task.channels, MNIST_PICTURES)
    test = chunks.test()
    return [
        Split(network.extract(chunk.pictures), chunk.labels)
        for chunk in map(chunks.chunk, range(1, devices + 1))
    ], Split(
        network.extract(test.pictures[:MNIST_TEST_PICTURES]), test.labels[:MNIST_TEST_PICTURES]
    )


def tasks() -> list[Task]:
    """The built-in task, and one that trains more."""
    classes = tuple("0123456789")
    training = TrainingSettings(epochs=1, batch_size=10, learning_rate=0.05, optimizer="sgd")
    larger = Task(
        name="perceptron", classes=classes, architecture="mnist_mlp", seed=7, training=training
    )
    return [read_tasks(Path("main_server/tasks.toml"))["digits"], larger]


def federations(task: Task, of: Sequence[int], work: Path) -> Iterator[Federation]:
    """Those of one network, of so many devices each."""
    network = build_network(task, work)
    for devices in of:
        if task.architecture == "mnist_mlp" and (found := mnist(network, devices)):
            yield Federation("MNIST", network, *found)
        else:
            yield Federation("digits", network, *digits(network, devices, work))


def measure(
    federation: Federation, seeds: Sequence[int], rounds: int, file: Path
) -> dict[str, Any]:
    """Each packing in one federation."""
    measured = {name: Measured() for name in PACKINGS}
    for seed in seeds:
        for name, settings in PACKINGS.items():
            sizes, accuracies = run_rounds(federation, settings, seed, rounds, file)
            measured[name].update_bytes += sizes
            measured[name].accuracies.append(accuracies)
    told = {name: each.as_json() for name, each in measured.items()}
    for name, each in told.items():
        size, accuracy = each["update_bytes"], each["accuracy"]["mean"]
        print(f"{federation.name}, {name}: {size:,.0f} bytes, {accuracy:.3f}", flush=True)
    return {
        "name": federation.name,
        "devices": len(federation.splits),
        "training_pictures": sum(len(split.labels) for split in federation.splits),
        "test_pictures": len(federation.test.labels),
        "packings": told,
    }


def main() -> None:
    run = begin("compression", __doc__)
    make_deterministic(1)
    devices, seeds, rounds = DEVICES, SEEDS, ROUNDS
    if run.quick:
        devices, seeds, rounds = QUICK_DEVICES, QUICK_SEEDS, QUICK_ROUNDS
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None) as folder:
        work = Path(folder)
        results = [
            measure(federation, seeds, rounds, work / "update")
            for task in tasks()
            for federation in federations(task, devices, work)
        ]
    run.save({"rounds": rounds, "seeds": seeds, "federations": results})


if __name__ == "__main__":
    main()
