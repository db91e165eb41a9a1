"""What strategies make of devices that are not alike: MNIST and CIFAR-10 over ten devices.

Each class's pictures are dealt to the devices in shares drawn from a Dirichlet distribution
(alpha 0.1: most devices have two or three classes; 1.0: most have all). Test accuracy after the
last round: mean and deviation of three seeds, each with a partition of its own.

    python -m benchmarks.heterogeneity

It needs the pictures and weights of $FEDBELL_TEST_DATA. Broken off, it goes on where it was: each
run is a line in heterogeneity.runs.jsonl beside the result. The parameters of each strategy were
chosen by ``--tune``, with a seed that is not among the measured ones.
"""

import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.heterogeneity_figure import draw
from benchmarks.report import TEST_DATA, begin
from benchmarks.resumable import Runs
from benchmarks.virtual_devices import VirtualDevice, VirtualFederation, with_strategy
from shared.datasets.mnist import PARTS, MnistPart, find_mnist
from shared.datasets.partitions import split_by_dirichlet
from shared.federated.task import Task, TrainingSettings
from shared.learning.backbone import imagenet_file
from shared.learning.determinism import make_deterministic
from shared.learning.network import Network, build_network

DEVICES = 10
ALPHAS = (0.1, 1.0)
SEEDS = (1, 2, 3)
TUNING_SEED = 11
ROUNDS = 30
#: Of each data set; more pictures make all strategies better and the differences smaller.
TRAINING_PICTURES, TEST_PICTURES = 10_000, 10_000
TRAINING = TrainingSettings(epochs=4, batch_size=32, learning_rate=0.05, optimizer="sgd")

STRATEGIES = (
    "fedavg",
    "fedprox",
    "scaffold",
    "fednova",
    "feddyn",
    "fedavgm",
    "fedadam",
    "fedyogi",
)
#: As ``--tune`` has chosen them; the others have none, or their defaults.
PARAMETERS: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "mnist": {
        "fedprox": {"mu": 0.01},
        "feddyn": {"alpha": 0.01},
        "fedadam": {"server_learning_rate": 0.03},
        "fedyogi": {"server_learning_rate": 0.03},
    },
    "cifar10": {
        "fedprox": {"mu": 0.1},
        "feddyn": {"alpha": 0.1},
        "fedadam": {"server_learning_rate": 0.01},
        "fedyogi": {"server_learning_rate": 0.01},
    },
}
#: What ``--tune`` tries.
GRID: Mapping[str, list[dict[str, Any]]] = {
    "fedprox": [{"mu": mu} for mu in (0.001, 0.01, 0.1, 1.0)],
    "feddyn": [{"alpha": alpha} for alpha in (0.01, 0.1)],
    "fedadam": [{"server_learning_rate": rate} for rate in (0.01, 0.03)],
    "fedyogi": [{"server_learning_rate": rate} for rate in (0.01, 0.03)],
}
#: Final accuracy at alpha 0.1 in the table of NVFlare's TensorFlow example (CIFAR-10, a small
#: network, eight sites, 50 rounds of four epochs): another network, other numbers of pictures.
#: Its FedOpt is SGD with momentum on the server: FedAvgM.
PUBLISHED = {"fedavg": 0.790, "fedprox": 0.784, "fedavgm": 0.815, "scaffold": 0.816}


@dataclass(frozen=True)
class Data:
    """Features and labels of one data set, and the network that they are of."""

    network: Network
    training: VirtualDevice
    test: VirtualDevice


def mnist(folder: Path) -> Data:
    """Pixels, for the small network of McMahan et al. 2017."""
    task = Task(name="mnist", classes=tuple("0123456789"), architecture="mnist_mlp", seed=1)
    files = find_mnist(TEST_DATA / "mnist")
    parts = []
    for part, count in zip(PARTS, (TRAINING_PICTURES, TEST_PICTURES), strict=True):
        samples = MnistPart(files, part, task.classes).samples(28, 1)
        chosen = np.random.default_rng(0).permutation(len(samples.labels))[:count]
        parts.append(VirtualDevice(samples.pictures[chosen], samples.labels[chosen]))
    return Data(build_network(task, folder), *parts)


def cifar10(_folder: Path) -> Data:
    """What the ImageNet backbone says of pictures enlarged to 96 pixels; the head is trained."""
    with zipfile.ZipFile(TEST_DATA / "cifar10" / "cifar10_jpg.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        classes = sorted({Path(name).parent.name for name in names})
        task = Task(name="cifar10", classes=tuple(classes), backbone="imagenet", seed=1)
        network = build_network(task, TEST_DATA / "weights")
        parts = []
        for part, count in (("train", TRAINING_PICTURES), ("test", TEST_PICTURES)):
            of_part = [name for name in names if f"{part}/" in name]
            order = np.random.default_rng(0).permutation(len(of_part))[:count]
            chosen = [of_part[index] for index in order]
            labels = np.array([classes.index(Path(name).parent.name) for name in chosen], np.int64)
            features = network.extract(
                np.stack([_picture(archive.read(name), task.image_size) for name in chosen])
            )
            parts.append(VirtualDevice(features, labels))
    return Data(network, *parts)


def _picture(content: bytes, size: int) -> Any:
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None
    return cv2.resize(pixels, (size, size), interpolation=cv2.INTER_CUBIC)


DATA_SETS: Mapping[str, Callable[[Path], Data]] = {"mnist": mnist, "cifar10": cifar10}


class Field:
    """Runs on all data sets, kept as they end."""

    def __init__(self, runs: Runs, work: Path, rounds: int) -> None:
        self._runs, self._work, self._rounds = runs, work, rounds
        self._data: dict[str, Data] = {}

    def accuracies(
        self, name: str, alpha: float, seed: int, strategy: str, parameters: dict[str, Any]
    ) -> list[float]:
        """Test accuracy after each round."""
        settings = {
            "data": name,
            "training_pictures": TRAINING_PICTURES,
            "alpha": alpha,
            "seed": seed,
            "strategy": strategy,
            "parameters": parameters,
            "devices": DEVICES,
            "rounds": self._rounds,
            "training": TRAINING.model_dump(),
        }
        result = self._runs.run(
            settings, lambda: self._run(name, alpha, seed, strategy, parameters)
        )
        accuracies = [float(each) for each in result["accuracies"]]
        print(f"{name:8} alpha {alpha:<4} seed {seed:<3} {strategy:9} {accuracies[-1]:.3f}")
        sys.stdout.flush()
        return accuracies

    def _run(
        self, name: str, alpha: float, seed: int, strategy: str, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        if name not in self._data:
            self._data[name] = DATA_SETS[name](self._work)
        data = self._data[name]
        labels = data.training.labels
        devices = [
            VirtualDevice(data.training.features[part], labels[part])
            for part in split_by_dirichlet(labels, DEVICES, alpha, seed)
        ]
        task = with_strategy(data.network.task, strategy, parameters, TRAINING)
        federation = VirtualFederation(task, data.network, devices, self._work / "files", seed)
        accuracies = []
        for _ in range(self._rounds):
            federation.round()
            measured = federation.measure(data.test.features, data.test.labels)
            accuracies.append(round(measured.accuracy, 4))
        sizes = [len(device.labels) for device in devices]
        return {"accuracies": accuracies, "pictures": sizes}


def tune(field: Field) -> None:
    """Try the parameters of GRID at alpha 0.1, and say which are best on each data set."""
    for name in DATA_SETS:
        for strategy, tried in GRID.items():
            found = [field.accuracies(name, 0.1, TUNING_SEED, strategy, each)[-1] for each in tried]
            best = int(np.argmax(found))
            print(f"{name}: {strategy} {tried[best]} {found[best]:.3f}")


def measure(field: Field, seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    """All data sets, alphas and strategies: mean and deviation over the seeds."""
    told = []
    for name in DATA_SETS:
        for alpha in ALPHAS:
            for strategy in STRATEGIES:
                parameters = PARAMETERS[name].get(strategy, {})
                runs = [field.accuracies(name, alpha, seed, strategy, parameters) for seed in seeds]
                last = [run[-1] for run in runs]
                told.append(
                    {
                        "data": name,
                        "alpha": alpha,
                        "strategy": strategy,
                        "parameters": parameters,
                        "mean": round(float(np.mean(last)), 4),
                        "deviation": round(float(np.std(last, ddof=1)), 4) if seeds[1:] else None,
                        "by_round": np.round(np.mean(runs, axis=0), 4).tolist(),
                    }
                )
    return told


def main() -> None:
    if "--tune" in sys.argv:
        sys.argv.remove("--tune")
        is_tuning = True
    else:
        is_tuning = False
    run = begin("heterogeneity", __doc__ or "")
    make_deterministic(1)
    ram = Path("/dev/shm")  # noqa: S108 - files are fsynced, which a disk takes its time for
    with tempfile.TemporaryDirectory(dir=ram if ram.is_dir() else None) as folder:
        os.environ["KERAS_HOME"] = folder
        runs = Runs(run.results / "heterogeneity.runs.jsonl")
        field = Field(runs, Path(folder), 2 if run.quick else ROUNDS)
        if is_tuning:
            tune(field)
            return
        seeds = SEEDS[:1] if run.quick else SEEDS
        told = measure(field, seeds)
    run.save(
        {
            "settings": {
                "devices": DEVICES,
                "rounds": 2 if run.quick else ROUNDS,
                "training": TRAINING.model_dump(),
                "training_pictures": TRAINING_PICTURES,
                "test_pictures": TEST_PICTURES,
                "seeds": seeds,
                "backbone": imagenet_file(0.25),
            },
            "hours": round(runs.hours, 2),
            "published": PUBLISHED,
            "accuracy": told,
        }
    )
    (run.results / "heterogeneity.svg").write_bytes(draw(told))


if __name__ == "__main__":
    main()
