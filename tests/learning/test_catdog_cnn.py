"""The ten-layer network for two classes: what it is made of, and that it learns."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.datasets import decode
from shared.federated.task import TrainingSettings
from shared.federated.update import Update
from shared.federated.weights import read_weights, write_weights
from shared.learning.network import Network, build_network
from shared.learning.training import train
from tests.federated.arrivals import fedavg
from tests.learning.samples import make_pictures, make_task

LAYERS = ["conv1", "pool1", "conv2", "pool2", "conv3", "pool3", "flatten", "dense", "dropout"]
SETTINGS = TrainingSettings(epochs=2, batch_size=16, learning_rate=0.001)

TRAIN = """
import numpy as np
from shared.learning.determinism import make_deterministic
from tests.learning.test_catdog_cnn import catdog_cnn, trained
make_deterministic(5)
print(trained(catdog_cnn(), seed=3))
"""


def catdog_cnn(**changes: Any) -> Network:
    return build_network(make_task(architecture="catdog_cnn", **changes), Path("nowhere"))


@pytest.fixture
def network() -> Network:
    return catdog_cnn()


def trained(network: Network, seed: int) -> str:
    """A hash of the weights after a training from the ones it has."""
    pictures, labels = make_pictures(40)
    train(network, pictures, labels, SETTINGS, seed, None, lambda *_: None, lambda: False)
    arrays = network.weights().values()
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def test_ten_layers_and_their_parameters() -> None:
    network = catdog_cnn(image_size=100)
    assert [layer.name for layer in network.tail.layers[2:]] == [*LAYERS, "classes"]
    assert network.feature_shape == (100, 100, 3)
    sizes = {name: array.size for name, array in network.weights().items()}
    assert sizes == {
        "conv1/kernel": 3 * 3 * 3 * 32,
        "conv1/bias": 32,
        "conv2/kernel": 3 * 3 * 32 * 32,
        "conv2/bias": 32,
        "conv3/kernel": 3 * 3 * 32 * 64,
        "conv3/bias": 64,
        "dense/kernel": 10 * 10 * 64 * 64,
        "dense/bias": 64,
        "classes/kernel": 64,
        "classes/bias": 1,
    }
    assert sum(sizes.values()) == 438_369


def test_its_cross_entropy_is_the_binary_one(network: Network) -> None:
    """Of the loss, and of its gradient."""
    pictures, labels = make_pictures(20)
    logits = network.answer(pictures * np.uint8(3))
    assert not logits[:, 0].any()
    outputs = tf.constant(logits[:, 1] * 100)  # some large ones too
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(outputs)
        both = tf.stack([tf.zeros_like(outputs), outputs], axis=1)
        ours = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=both)
        expected = keras.ops.binary_crossentropy(
            tf.constant(labels, tf.float32), outputs, from_logits=True
        )
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        tape.gradient(ours, outputs), tape.gradient(expected, outputs), rtol=1e-5, atol=1e-7
    )
    np.testing.assert_allclose(tf.nn.softmax(both)[:, 1], tf.sigmoid(outputs), rtol=1e-5)


def test_each_layer_and_each_task_starts_with_other_weights(network: Network) -> None:
    first = network.weights()
    other = catdog_cnn(seed=2).weights()
    kernels = [name for name in first if name.endswith("kernel")]
    starts = {first[name].ravel()[:8].tobytes() for name in kernels}
    starts |= {other[name].ravel()[:8].tobytes() for name in kernels}
    assert len(starts) == 2 * len(kernels)
    assert not any(array.any() for name, array in first.items() if name.endswith("bias"))


def test_equal_seeds_give_equal_bits_with_dropout_too(network: Network) -> None:
    """In the second training of a process, and in another process."""
    first = trained(network, seed=3)
    network.reset()
    assert trained(network, seed=4) != first
    network.reset()
    assert trained(network, seed=3) == first
    elsewhere = subprocess.run(
        [sys.executable, "-c", TRAIN], check=True, capture_output=True, text=True, timeout=120
    )
    assert elsewhere.stdout.strip() == first


def test_dropout_draws_anew_in_each_step(network: Network) -> None:
    trained(network, seed=3)
    (dropout,) = (layer for layer in network.tail.layers if layer.name == "dropout")
    steps = 2 * 3
    assert dropout.seed_generator.state.numpy().tolist() == [3, steps]
    assert not [name for name in network.weights() if "seed" in name]


def test_weights_travel_like_others(network: Network, tmp_path: Path) -> None:
    ours = network.weights()
    theirs = {name: array + 3 for name, array in ours.items()}
    average = fedavg([Update("a", 1, ours), Update("b", 2, theirs)])
    write_weights(tmp_path / "average", average)
    network.load(read_weights(tmp_path / "average"))
    for name, array in network.weights().items():
        np.testing.assert_allclose(array, ours[name] + 2, atol=1e-6)


@pytest.mark.parametrize("size", [32, 45])
def test_any_size(size: int) -> None:
    network = catdog_cnn(image_size=size)
    assert network.answer(np.zeros((3, size, size, 3), np.uint8)).shape == (3, 2)
    assert network.backbone_sha256 == hashlib.sha256().hexdigest()


def test_it_learns_cats_and_dogs(test_data: Path) -> None:
    folders = [test_data / "cats_dogs" / "original_sample" / name for name in ("cats", "dogs")]
    files = [
        (path, label)
        for label, folder in enumerate(folders)
        for path in sorted(folder.iterdir())[:100]
    ]
    pictures = np.stack([decode(path, 100) for path, _ in files])
    labels = np.array([label for _, label in files], np.int64)
    settings = TrainingSettings(epochs=12, batch_size=16, learning_rate=0.001)
    history = train(
        catdog_cnn(image_size=100),
        pictures,
        labels,
        settings,
        3,
        None,
        lambda *_: None,
        lambda: False,
    )
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert history["accuracy"][-1] > 0.75
