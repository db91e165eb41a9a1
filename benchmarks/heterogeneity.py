"""What strategies make of devices that are not alike: MNIST and CIFAR-10 over ten devices.

Each class's pictures are dealt to the devices in shares drawn from a Dirichlet distribution
(alpha 0.1: most devices have two or three classes; 1.0: most have all). Test accuracy after the
last round: mean and deviation of three seeds, each with a partition of its own.

    python -m benchmarks.heterogeneity

It needs the pictures and weights of $FEDBELL_TEST_DATA. Broken off, it goes on where it was: each
run is a line in heterogeneity.runs.jsonl beside the result. ``--tune`` has chosen the parameters of
each strategy: with a partition that is not among the measured ones, on training pictures that no
device has. ``--mnist`` or ``--cifar10`` runs those of one data set alone, so that two processes can
share the work; the result is written by the call without them.
"""

import itertools
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

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
from shared.learning.training import TrainingDiverged

DEVICES = 10
ALPHAS = (0.1, 1.0)
SEEDS = (1, 2, 3)
TUNING_SEED = 11
ROUNDS = 30
#: Of each data set; more pictures make all strategies better and the differences smaller.
TRAINING_PICTURES, TEST_PICTURES, TUNING_PICTURES = 10_000, 10_000, 5_000
#: Of the parts of a data set, how many pictures are taken for what.
COUNTS = {"train": (TRAINING_PICTURES, TUNING_PICTURES), "test": (TEST_PICTURES,)}
#: The learning rate with which FedAvg is best, of RATES and in the mean of both alphas, as
#: ``--tune`` has found: all strategies train with it, but those of OWN_RATES.
TRAINING = {
    name: TrainingSettings(epochs=4, batch_size=32, learning_rate=rate, optimizer="sgd")
    for name, rate in (("mnist", 0.3), ("cifar10", 0.02))
}
#: With that rate trainings of these diverge; this is the largest of RATES with which none did.
OWN_RATES: Mapping[tuple[str, str], float] = {("mnist", "scaffold"): 0.1}
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)

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
_CIFAR10: Mapping[str, dict[str, Any]] = {
    "fedprox": {"mu": 0.3},
    "feddyn": {"alpha": 0.3},
    "fedavgm": {"momentum": 0.1},
    "fedadam": {"server_learning_rate": 0.01},
    "fedyogi": {"server_learning_rate": 0.01},
}
#: As ``--tune`` has chosen them, by data set and alpha; the others have none, or their defaults.
PARAMETERS: Mapping[tuple[str, float], Mapping[str, dict[str, Any]]] = {
    ("mnist", 0.1): {
        "fedprox": {"mu": 0.001},
        "feddyn": {"alpha": 0.001},
        "fedavgm": {"momentum": 0.6},
        "fedadam": {"server_learning_rate": 0.03},
        "fedyogi": {"server_learning_rate": 0.03},
    },
    ("mnist", 1.0): {
        "fedprox": {"mu": 0.001},
        "feddyn": {"alpha": 0.01},
        "fedavgm": {"momentum": 0.1},
        "fedadam": {"server_learning_rate": 0.01},
        "fedyogi": {"server_learning_rate": 0.01},
    },
    ("cifar10", 0.1): _CIFAR10,
    ("cifar10", 1.0): _CIFAR10,
}
#: What ``--tune`` tries.
GRID: Mapping[str, list[dict[str, Any]]] = {
    "fedprox": [{"mu": mu} for mu in (0.001, 0.01, 0.1, 0.3, 1.0)],
    "feddyn": [{"alpha": alpha} for alpha in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)],
    "fedavgm": [
        *({"momentum": momentum} for momentum in (0.1, 0.3, 0.6, 0.9)),
        *({"momentum": 0.9, "server_learning_rate": rate} for rate in (0.1, 0.3)),
    ],
    "fedadam": [{"server_learning_rate": rate} for rate in (0.003, 0.01, 0.03, 0.1)],
    "fedyogi": [{"server_learning_rate": rate} for rate in (0.003, 0.01, 0.03, 0.1)],
}
#: Final accuracy at alpha 0.1 in the table of NVFlare's TensorFlow example (CIFAR-10, a small
#: network, eight sites, 50 rounds of four epochs): another network, other numbers of pictures.
#: Its FedOpt is SGD with momentum on the server: FedAvgM.
PUBLISHED = {"fedavg": 0.790, "fedprox": 0.784, "fedavgm": 0.815, "scaffold": 0.816}


@dataclass(frozen=True)
class Data:
    """Features and labels of one data set, and the network that they are of.

    ``tuning`` are training pictures that no device has: parameters are chosen by them.
    """

    network: Network
    training: VirtualDevice
    test: VirtualDevice
    tuning: VirtualDevice


def mnist(folder: Path) -> Data:
    """Pixels, for the small network of McMahan et al. 2017."""
    task = Task(name="mnist", classes=tuple("0123456789"), architecture="mnist_mlp", seed=1)
    files = find_mnist(TEST_DATA / "mnist")
    parts = []
    for part, counts in zip(PARTS, COUNTS.values(), strict=True):
        samples = MnistPart(files, part, task.classes).samples(28, 1)
        parts += [
            VirtualDevice(samples.pictures[chosen], samples.labels[chosen])
            for chosen in _drawn(len(samples.labels), counts)
        ]
    training, tuning, test = parts
    return Data(build_network(task, folder), training, test, tuning)


def _drawn(count: int, counts: Sequence[int]) -> list[npt.NDArray[np.int64]]:
    """Indices of so many pictures, so many for each purpose; none is drawn twice."""
    order = np.random.default_rng(0).permutation(count)
    return np.split(order[: sum(counts)], np.cumsum(counts)[:-1])


def cifar10(_folder: Path) -> Data:
    """What the ImageNet backbone says of pictures enlarged to 96 pixels; the head is trained."""
    with zipfile.ZipFile(TEST_DATA / "cifar10" / "cifar10_jpg.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        classes = sorted({Path(name).parent.name for name in names})
        task = Task(name="cifar10", classes=tuple(classes), backbone="imagenet", seed=1)
        network = build_network(task, TEST_DATA / "weights")
        parts = []
        for part, counts in COUNTS.items():
            of_part = [name for name in names if f"{part}/" in name]
            for drawn in _drawn(len(of_part), counts):
                chosen = [of_part[index] for index in drawn]
                labels = [classes.index(Path(name).parent.name) for name in chosen]
                features = network.extract(
                    np.stack([_picture(archive.read(name), task.image_size) for name in chosen])
                )
                parts.append(VirtualDevice(features, np.array(labels, np.int64)))
    training, tuning, test = parts
    return Data(network, training, test, tuning)


def _picture(content: bytes, size: int) -> Any:
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None
    return cv2.resize(pixels, (size, size), interpolation=cv2.INTER_CUBIC)


DATA_SETS: Mapping[str, Callable[[Path], Data]] = {"mnist": mnist, "cifar10": cifar10}


def training_for(name: str, strategy: str) -> TrainingSettings:
    """How devices train for a strategy."""
    rate = OWN_RATES.get((name, strategy), TRAINING[name].learning_rate)
    return TRAINING[name].model_copy(update={"learning_rate": rate})


class Field:
    """Runs on all data sets, kept as they end."""

    def __init__(self, runs: Runs, work: Path, rounds: int) -> None:
        self._runs, self._work, self._rounds = runs, work, rounds
        self._data: dict[str, Data] = {}

    def accuracies(
        self,
        name: str,
        alpha: float,
        seed: int,
        strategy: str,
        parameters: dict[str, Any],
        tuned: TrainingSettings | None = None,
    ) -> list[float]:
        """Accuracy after each round; 0 from the one on in which a training diverged.

        Args:
            tuned: measure on the pictures for tuning, after trainings like this; None: on the test
                pictures, after trainings as TRAINING says.
        """
        is_tuning, training = tuned is not None, tuned or training_for(name, strategy)
        settings = {
            "data": name,
            "pictures": COUNTS,
            "alpha": alpha,
            "seed": seed,
            "strategy": strategy,
            "parameters": parameters,
            "devices": DEVICES,
            "rounds": self._rounds,
            "training": training.model_dump(),
            "is_tuning": is_tuning,
        }
        result = self._runs.run(
            settings,
            lambda: self._run(name, alpha, seed, strategy, parameters, training, is_tuning),
        )
        accuracies = [float(each) for each in result["accuracies"]]
        told = f"{strategy:9} {parameters or ''}"
        print(f"{name:8} alpha {alpha:<4} seed {seed:<3} {told:45} {accuracies[-1]:.3f}")
        sys.stdout.flush()
        return accuracies

    def _run(
        self,
        name: str,
        alpha: float,
        seed: int,
        strategy: str,
        parameters: dict[str, Any],
        training: TrainingSettings,
        is_tuning: bool,
    ) -> dict[str, Any]:
        if name not in self._data:
            self._data[name] = DATA_SETS[name](self._work)
        data = self._data[name]
        labels = data.training.labels
        devices = [
            VirtualDevice(data.training.features[part], labels[part])
            for part in split_by_dirichlet(labels, DEVICES, alpha, seed)
        ]
        task = with_strategy(data.network.task, strategy, parameters, training)
        federation = VirtualFederation(task, data.network, devices, self._work / "files", seed)
        measured_on = data.tuning if is_tuning else data.test
        accuracies: list[float] = []
        for _ in range(self._rounds):
            try:
                federation.round()
            except TrainingDiverged:  # there is no model any more
                accuracies += [0.0] * (self._rounds - len(accuracies))
                break
            measured = federation.measure(measured_on.features, measured_on.labels)
            accuracies.append(round(measured.accuracy, 4))
        sizes = [len(device.labels) for device in devices]
        return {"accuracies": accuracies, "pictures": sizes}


def tune(field: Field, names: Sequence[str]) -> None:
    """Try the parameters of GRID, and say which are best on each data set at each alpha."""
    for name in names:
        for alpha in ALPHAS:
            for strategy, rate in itertools.product(("fedavg", "scaffold"), RATES):
                other = TRAINING[name].model_copy(update={"learning_rate": rate})
                found = field.accuracies(name, alpha, TUNING_SEED, strategy, {}, other)
                print(f"{strategy}: {name}, {alpha}: learning rate {rate} {found[-1]:.3f}")
            for strategy, tried in GRID.items():
                found = [
                    field.accuracies(name, alpha, TUNING_SEED, strategy, each, TRAINING[name])[-1]
                    for each in tried
                ]
                best = int(np.argmax(found))
                print(f"best: {name}, {alpha}: {strategy} {tried[best]} {found[best]:.3f}")


def measure(field: Field, names: Sequence[str], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Data sets, alphas and strategies: mean and deviation over the seeds."""
    told = []
    for name in names:
        for alpha in ALPHAS:
            for strategy in STRATEGIES:
                parameters = PARAMETERS.get((name, alpha), {}).get(strategy, {})
                runs = [field.accuracies(name, alpha, seed, strategy, parameters) for seed in seeds]
                last = [run[-1] for run in runs]
                told.append(
                    {
                        "data": name,
                        "alpha": alpha,
                        "strategy": strategy,
                        "parameters": parameters,
                        "learning_rate": training_for(name, strategy).learning_rate,
                        "mean": round(float(np.mean(last)), 4),
                        "deviation": round(float(np.std(last, ddof=1)), 4) if seeds[1:] else None,
                        "by_round": np.round(np.mean(runs, axis=0), 4).tolist(),
                    }
                )
    return told


def main() -> None:
    is_tuning = "--tune" in sys.argv
    names = [name for name in DATA_SETS if f"--{name}" in sys.argv] or list(DATA_SETS)
    known = ("--tune", *(f"--{name}" for name in DATA_SETS))
    sys.argv = [each for each in sys.argv if each not in known]
    run = begin("heterogeneity", __doc__ or "")
    make_deterministic(1)
    ram = Path("/dev/shm")  # noqa: S108 - files are fsynced, which a disk takes its time for
    with tempfile.TemporaryDirectory(dir=ram if ram.is_dir() else None) as folder:
        os.environ["KERAS_HOME"] = folder
        runs = Runs(run.results / "heterogeneity.runs.jsonl")
        field = Field(runs, Path(folder), 2 if run.quick else ROUNDS)
        if is_tuning:
            tune(field, names)
            return
        seeds = SEEDS[:1] if run.quick else SEEDS
        told = measure(field, names, seeds)
    if names != list(DATA_SETS):
        return
    run.save(
        {
            "settings": {
                "devices": DEVICES,
                "rounds": 2 if run.quick else ROUNDS,
                "training": {name: each.model_dump() for name, each in TRAINING.items()},
                "training_pictures": TRAINING_PICTURES,
                "test_pictures": TEST_PICTURES,
                "tuning": {
                    "pictures": TUNING_PICTURES,
                    "seed": TUNING_SEED,
                    "rates": RATES,
                    "tried": GRID,
                },
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
