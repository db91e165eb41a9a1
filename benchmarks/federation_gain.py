"""What a federation gains: each device alone, the federation, and all data in one place.

The same network, the same settings, the same number of epochs for everybody; measured on
the test pictures of all devices together. Run it from the repository's root:

    python -m benchmarks.federation_gain

``digits`` is the built-in task. ``doorbell`` (person, parcel, animal, empty) needs photos
and ImageNet weights from $FEDBELL_TEST_DATA; it is left out, and says so, without them.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.report import TEST_DATA, begin
from main_server.settings import read_tasks
from shared.datasets import RECIPE, decode, read_split
from shared.datasets.digits import write_digits
from shared.federated.aggregation import Arrival, ServerState
from shared.federated.aggregation.fedavg import FedAvg
from shared.federated.task import Task, TrainingSettings
from shared.federated.update import Update
from shared.federated.weights import Weights
from shared.learning.backbone import imagenet_file
from shared.learning.determinism import make_deterministic
from shared.learning.evaluation import evaluate
from shared.learning.features import FeatureStore
from shared.learning.network import Network, build_network
from shared.learning.training import train

ROUNDS = 5
SEEDS = (1, 2, 3)
DEVICES = ("device1", "device2")
#: Of each class's photos, the share that goes to device1; device2 has the rest.
DOORBELL_SHARES = {"person": 0.9, "parcel": 0.9, "animal": 0.1, "empty": 0.1}


@dataclass(frozen=True)
class Split:
    """Features (n, …) and labels (n,)."""

    features: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]


def joined(splits: Sequence[Split]) -> Split:
    return Split(
        np.concatenate([split.features for split in splits]),
        np.concatenate([split.labels for split in splits]),
    )


def write_doorbell(directory: Path) -> None:
    """Deal the doorbell photos to two devices, unevenly; test photos half and half."""
    source = TEST_DATA / "doorbell" / "class_folders"
    generator = np.random.default_rng(1)
    for split in ("train", "test"):
        for name, share in DOORBELL_SHARES.items():
            photos = sorted((source / split / name).glob("*.jpg"))
            generator.shuffle(photos)
            first = round(len(photos) * (share if split == "train" else 0.5))
            for device, part in zip(DEVICES, (photos[:first], photos[first:]), strict=True):
                folder = directory / device / "doorbell" / split / name
                folder.mkdir(parents=True)
                for photo in part:
                    shutil.copy(photo, folder)


def read(network: Network, store: FeatureStore, directory: Path) -> Split:
    pictures = read_split(directory, network.task.classes)
    features = store.features(
        network,
        [picture.sha256 for picture in pictures],
        lambda index: decode(pictures[index].path, network.task.image_size, network.task.channels),
        None,
    )
    labels = np.array([pictures[index].label for index in features.kept], np.int64)
    return Split(np.asarray(features.array), labels)


def trained(network: Network, split: Split, settings: TrainingSettings, seed: int) -> None:
    train(
        network,
        split.features,
        split.labels,
        settings,
        seed,
        None,
        lambda _epoch, _metrics: None,
        lambda: False,
    )


def federated(network: Network, splits: Sequence[Split], test: Split, seed: int) -> list[float]:
    """Test accuracy after each round."""
    settings = network.task.training
    network.reset()
    newest: Weights = network.weights()
    accuracies = []
    for number in range(ROUNDS):
        updates = []
        for index, split in enumerate(splits):
            network.load(newest)
            trained(network, split, settings, seed * 1000 + number * 10 + index)
            updates.append(Update(DEVICES[index], len(split.labels), network.weights()))
        arrivals = [Arrival(update, newest) for update in updates]
        newest = FedAvg().next(ServerState(newest), arrivals, len(updates)).weights
        network.load(newest)
        accuracies.append(evaluate(network, test.features, test.labels).accuracy)
    return accuracies


def alone(network: Network, split: Split, test: Split, seed: int) -> float:
    """Test accuracy of one device that trains by itself for as many epochs."""
    settings = network.task.training.model_copy(
        update={"epochs": network.task.training.epochs * ROUNDS}
    )
    network.reset()
    trained(network, split, settings, seed)
    return evaluate(network, test.features, test.labels).accuracy


def measure(task: Task, directory: Path, backbones: Path, work: Path) -> dict[str, Any]:
    network = build_network(task, backbones)
    store = FeatureStore(work / "features", decoding=RECIPE)
    splits = [read(network, store, directory / device / task.name / "train") for device in DEVICES]
    tests = [read(network, store, directory / device / task.name / "test") for device in DEVICES]
    test = joined(tests)
    runs: dict[str, list[float]] = {name: [] for name in (*DEVICES, "federated", "all data")}
    by_round = []
    for seed in SEEDS:
        for device, split in zip(DEVICES, splits, strict=True):
            runs[device].append(alone(network, split, test, seed))
        rounds = federated(network, splits, test, seed)
        by_round.append(rounds)
        runs["federated"].append(rounds[-1])
        runs["all data"].append(alone(network, joined(splits), test, seed))
    return {
        "task": task.model_dump(mode="json"),
        "rounds": ROUNDS,
        "seeds": SEEDS,
        "training_pictures": [len(split.labels) for split in splits],
        "test_pictures": len(test.labels),
        "accuracy": {
            name: {"mean": float(np.mean(values)), "deviation": float(np.std(values))}
            for name, values in runs.items()
        },
        "federated_by_round": np.mean(by_round, axis=0).tolist(),
    }


def doorbell_task() -> Task:
    return Task(
        name="doorbell",
        classes=tuple(DOORBELL_SHARES),
        alpha=0.25,
        image_size=224,
        backbone="imagenet",
        seed=7,
        training=TrainingSettings(epochs=5, batch_size=16, learning_rate=0.003),
    )


def main() -> None:
    run = begin("federation_gain", __doc__)
    make_deterministic(1)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_digits(work / "dataset", DEVICES)
        digits = read_tasks(Path("main_server/tasks.toml"))["digits"]
        results["digits"] = measure(digits, work / "dataset", work, work)
        weights = TEST_DATA / "weights" / imagenet_file(0.25)
        if weights.exists():
            os.environ["KERAS_HOME"] = str(work / "keras")
            write_doorbell(work / "dataset")
            results["doorbell"] = measure(doorbell_task(), work / "dataset", weights.parent, work)
        else:
            print(f"doorbell is left out: there is no {weights}.")
    print(f"{'test accuracy, mean of 3 seeds':<32}" + "".join(f"{name:>12}" for name in results))
    for name in (*DEVICES, "federated", "all data"):
        row = "".join(f"{result['accuracy'][name]['mean']:>12.3f}" for result in results.values())
        label = f"{name} alone" if name in DEVICES else name
        print(f"{label:<32}{row}")
    run.save({"tasks": results})


if __name__ == "__main__":
    main()
