"""Building networks: names, shapes, weights."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.federated.task import Task
from shared.federated.weights import SchemaMismatch, read_weights, write_weights
from shared.learning.network import Network, build_network
from tests.learning.samples import make_pictures, make_task

DESCRIBE = """
import json, sys
from shared.federated.task import Task
from tests.learning.test_network import describe
print(json.dumps([describe(Task.model_validate_json(text)) for text in sys.argv[1:]]))
"""


def describe(task: Task) -> list[Any]:
    """All that must be the same wherever a task's network is built."""
    network = build_network(task, Path("nowhere"))
    weights = network.weights()
    hashes = [hashlib.sha256(array.tobytes()).hexdigest() for array in weights.values()]
    return [network.fingerprint, network.features_key, list(weights), hashes]


def test_names_and_first_weights_are_the_same_in_every_process() -> None:
    """And whatever else has been built in that process before."""
    tasks = [make_task(trainable=depth) for depth in ("block", "head", "all")]
    small = ("catdog_cnn", "mnist_mlp", "mnist_cnn")
    tasks += [make_task(architecture=architecture) for architecture in small]
    texts = [task.model_dump_json() for task in tasks]
    command = [sys.executable, "-c", DESCRIBE, *texts]
    answer = subprocess.run(command, check=True, capture_output=True, timeout=120)
    elsewhere = json.loads(answer.stdout)
    here = [describe(task) for task in reversed(tasks)]
    assert elsewhere == here[::-1]
    assert len({fingerprint for fingerprint, *_ in here}) == len(tasks)


@pytest.mark.parametrize(
    ("depth", "shape", "dtype", "arrays"),
    [
        ("head", (256,), "float32", 2),
        ("block", (1, 1, 256), "float32", 7),
        ("all", (32, 32, 3), "uint8", 137),
    ],
)
def test_shapes(tmp_path: Path, depth: str, shape: Any, dtype: str, arrays: int) -> None:
    network = build_network(make_task(trainable=depth), tmp_path)
    assert network.feature_shape == shape
    assert network.feature_dtype == dtype
    assert len(network.weights()) == arrays
    pictures, _ = make_pictures(3)
    features = network.extract(pictures)
    assert features.shape == (3, *shape)
    assert features.dtype == dtype
    assert network.answer(features).shape == (3, 2)


def test_depths_agree_on_the_answer(tmp_path: Path) -> None:
    pictures, _ = make_pictures(5)
    answers = []
    for depth in ("head", "block", "all"):
        network = build_network(make_task(trainable=depth), tmp_path)
        answers.append(network.answer(network.extract(pictures)))
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-4)
    np.testing.assert_allclose(answers[2], answers[0], atol=1e-4)


def test_features_do_not_depend_on_neighbours(block: Network) -> None:
    pictures, _ = make_pictures(40)
    together = block.extract(pictures)
    np.testing.assert_array_equal(block.extract(pictures[35:36]), together[35:36])
    np.testing.assert_array_equal(block.extract(pictures[::-1])[::-1], together)


def test_weights_survive_a_file(block: Network, tmp_path: Path) -> None:
    changed = {name: array + 1 for name, array in block.weights().items()}
    write_weights(tmp_path / "tail.safetensors", changed)
    block.load(read_weights(tmp_path / "tail.safetensors"))
    for name, array in block.weights().items():
        np.testing.assert_array_equal(array, changed[name])


def test_reset_goes_back_to_the_first_tail(block: Network) -> None:
    first = block.weights()
    block.load({name: array * 0 for name, array in first.items()})
    block.reset()
    for name, array in block.weights().items():
        np.testing.assert_array_equal(array, first[name])


def test_foreign_weights_are_refused_and_change_nothing(head: Network) -> None:
    before = head.weights()
    foreign = {"classes/kernel": before["classes/kernel"] + 1}
    with pytest.raises(SchemaMismatch, match="classes/bias is missing"):
        head.load(foreign)
    np.testing.assert_array_equal(head.weights()["classes/kernel"], before["classes/kernel"])


def test_seed_decides_the_first_tail_and_nothing_else(head: Network, tmp_path: Path) -> None:
    other = build_network(make_task(seed=2), tmp_path)
    assert other.fingerprint == head.fingerprint
    assert other.features_key == head.features_key
    ours, theirs = head.weights(), other.weights()
    assert not np.array_equal(ours["classes/kernel"], theirs["classes/kernel"])


def test_features_are_told_apart_by_size_and_depth(head: Network, tmp_path: Path) -> None:
    keys = {head.features_key}
    for changes in ({"image_size": 64}, {"trainable": "block"}, {"trainable": "all"}):
        keys.add(build_network(make_task(**changes), tmp_path).features_key)
    assert len(keys) == 4


@pytest.mark.parametrize(
    "pictures", [np.zeros((2, 96, 96, 3), np.uint8), np.zeros((2, 32, 32, 3), np.float32)]
)
def test_other_pictures_are_refused(head: Network, pictures: Any) -> None:
    with pytest.raises(ValueError, match="not 32 pixels a side in 3 channels"):
        head.extract(pictures)


def test_nothing_gives_nothing(head: Network) -> None:
    features = head.extract(np.zeros((0, 32, 32, 3), np.uint8))
    assert head.answer(features).shape == (0, 2)
