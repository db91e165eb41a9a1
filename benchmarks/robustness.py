"""What strategies make of poisoned devices: none to three of ten, five attacks, two tasks.

Ten devices share the training pictures evenly; some of them are poisoned (benchmarks/attacks.py).
Test accuracy after the last round, for every strategy that a network of one layer can be trained
with: the mean of three seeds, each with a partition of its own.

    python -m benchmarks.robustness

``digits`` is the built-in task; ``doorbell`` needs the photos and the ImageNet weights of
$FEDBELL_TEST_DATA and is left out, and says so, without them. Broken off, it goes on where it was:
each run is a line in robustness.runs.jsonl beside the result.
"""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attacks import ATTACKS, attack_of
from benchmarks.federation_gain import Split, doorbell_task, joined, read, write_doorbell
from benchmarks.report import TEST_DATA, begin
from benchmarks.resumable import Runs
from benchmarks.robustness_figure import draw
from benchmarks.virtual_devices import VirtualDevice, VirtualFederation, with_strategy
from main_server.settings import read_tasks
from shared.datasets import RECIPE
from shared.datasets.digits import write_digits
from shared.datasets.partitions import split_evenly
from shared.federated import aggregation as rules
from shared.federated.task import Task, TrainingSettings
from shared.learning.backbone import imagenet_file
from shared.learning.determinism import make_deterministic
from shared.learning.features import FeatureStore
from shared.learning.network import Network, build_network

DEVICES = 10
POISONED = (1, 2, 3)
ROUNDS = 10
FOLDERS = ("device1", "device2")
TRAINING = TrainingSettings(epochs=3, batch_size=16, learning_rate=0.003)
#: For the strategies whose papers' devices train with it.
SGD = TrainingSettings(epochs=3, batch_size=16, learning_rate=0.2, optimizer="sgd")
WITH_SGD = ("fednova", "scaffold", "feddyn", "q_ffl")
SEEDS = (1, 2, 3)

#: Robust rules are told to stand three of ten where they can be told; their defaults otherwise.
#: Of ten updates Bulyan can stand one, f = (10 - 3) // 4.
STRATEGIES: Mapping[str, dict[str, Any]] = {
    "fedavg": {},
    "median": {},
    "trimmed_mean": {"trim": 0.3},
    "krum": {"byzantine": 3},
    "multi_krum": {"byzantine": 3},
    "bulyan": {},
    "geometric_median": {},
    "norm_clipping": {},
    "fedprox": {},
    "fednova": {},
    "scaffold": {},
    "feddyn": {},
    "q_ffl": {"q": 0.1},
    "fedavgm": {},
    "fedadagrad": {},
    "fedadam": {},
    "fedyogi": {},
}
#: Robust ones, of which the goal speaks.
ROBUST = tuple(name for name in STRATEGIES if rules.STRATEGIES[name].kind == "robust")
_HOLDS = 0.02


@dataclass(frozen=True)
class Data:
    """One task's network, and its pictures."""

    network: Network
    training: Split
    test: Split


def open_data(task: Task, dataset: Path, backbones: Path, work: Path) -> Data:
    network = build_network(task, backbones)
    store = FeatureStore(work / "features", decoding=RECIPE)
    training, test = (
        joined([read(network, store, dataset / each / task.name / part) for each in FOLDERS])
        for part in ("train", "test")
    )
    return Data(network, training, test)


def run(
    data: Data, strategy: str, attack: str, poisoned: int, seed: int, work: Path, rounds: int
) -> dict[str, Any]:
    """Test accuracy after each round."""
    labels, classes = data.training.labels, len(data.network.task.classes)
    devices = []
    for number, part in enumerate(split_evenly(labels, DEVICES, seed)):
        own = labels[part]
        is_flipped = attack == "flipped labels" and number < poisoned
        devices.append(
            VirtualDevice(data.training.features[part], classes - 1 - own if is_flipped else own)
        )
    task = with_strategy(data.network.task, strategy, STRATEGIES[strategy], training_for(strategy))
    federation = VirtualFederation(task, data.network, devices, work / "files", seed)
    does = attack_of(attack, poisoned, seed)
    accuracies = []
    for _ in range(rounds):
        federation.round(does)
        measured = federation.measure(data.test.features, data.test.labels)
        accuracies.append(round(measured.accuracy, 4))
    return {"accuracies": accuracies}


def training_for(strategy: str) -> TrainingSettings:
    """How devices train."""
    return SGD if strategy in WITH_SGD else TRAINING


def measure(
    every: Mapping[str, Data], runs: Runs, work: Path, rounds: int, seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """All tasks, strategies and attacks: the mean over the seeds."""
    told = []
    cases = [("none", 0), *((attack, number) for number in POISONED for attack in ATTACKS)]
    for strategy in STRATEGIES:
        for name, data in every.items():
            for attack, poisoned in cases:
                last = []
                for seed in seeds:
                    settings = {
                        "task": name,
                        "strategy": strategy,
                        "parameters": STRATEGIES[strategy],
                        "attack": attack,
                        "poisoned": poisoned,
                        "rounds": rounds,
                        "training": training_for(strategy).model_dump(),
                        "seed": seed,
                    }
                    work_of_one = partial(run, data, strategy, attack, poisoned, seed, work, rounds)
                    last.append(runs.run(settings, work_of_one)["accuracies"][-1])
                accuracy = round(float(np.mean(last)), 4)
                print(f"{name:9} {strategy:17} {poisoned} {attack:19} {accuracy:.3f}")
                sys.stdout.flush()
                told.append(
                    {
                        "task": name,
                        "strategy": strategy,
                        "attack": attack,
                        "poisoned": poisoned,
                        "accuracy": accuracy,
                        "of_each_seed": last,
                    }
                )
    return told


def which_hold(told: list[dict[str, Any]], task: str) -> dict[str, Any]:
    """Of the first four attacks by two of ten: what FedAvg loses, and which rules lose little.

    Lost is what is below FedAvg among honest devices: a rule that is worse from the start does
    not hold for that.
    """
    found = {
        (each["strategy"], each["attack"], each["poisoned"]): each["accuracy"]
        for each in told
        if each["task"] == task
    }
    clean, answer = found["fedavg", "none", 0], {}
    for attack in ATTACKS[:4]:
        lost = {name: clean - found[name, attack, 2] for name in STRATEGIES}
        answer[attack] = {
            "fedavg_loses": round(lost["fedavg"], 4),
            "hold": [name for name in ROBUST if lost[name] < _HOLDS],
        }
    return answer


def main() -> None:
    called = begin("robustness", __doc__ or "")
    make_deterministic(1)
    rounds = 2 if called.quick else ROUNDS
    seeds = SEEDS[:1] if called.quick else SEEDS
    runs = Runs(called.results / "robustness.runs.jsonl")
    ram = Path("/dev/shm")  # noqa: S108 - files are fsynced, which a disk takes its time for
    with tempfile.TemporaryDirectory(dir=ram if ram.is_dir() else None) as folder:
        work = Path(folder)
        os.environ["KERAS_HOME"] = str(work / "keras")
        write_digits(work / "dataset", FOLDERS)
        tasks = {"digits": (read_tasks(Path("main_server/tasks.toml"))["digits"], work)}
        weights = TEST_DATA / "weights" / imagenet_file(0.25)
        if not weights.exists():
            print(f"doorbell is left out: there is no {weights}.")
        elif not called.quick:
            write_doorbell(work / "dataset")
            tasks["doorbell"] = doorbell_task(), weights.parent
        every = {
            name: open_data(task, work / "dataset", backbones, work)
            for name, (task, backbones) in tasks.items()
        }
        told = measure(every, runs, work, rounds, seeds)
    pictures = {
        name: {
            "training_pictures": len(data.training.labels),
            "test_pictures": len(data.test.labels),
        }
        for name, data in every.items()
    }
    called.save(
        {
            "settings": {
                "devices": DEVICES,
                "rounds": rounds,
                "training": TRAINING.model_dump(),
                "with_sgd": {"strategies": WITH_SGD, "training": SGD.model_dump()},
                "seeds": seeds,
                "strategies": STRATEGIES,
                "tasks": pictures,
            },
            "hours": round(runs.hours, 2),
            "holds": {name: which_hold(told, name) for name in pictures},
            "accuracy": told,
        }
    )
    (called.results / "robustness.svg").write_bytes(draw(told))


if __name__ == "__main__":
    main()
