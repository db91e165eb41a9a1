"""mnist_mlp and mnist_cnn: what they are made of, that they learn, and training on arrays."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from shared.datasets.chunks import ChunkedDataset, Samples, open_chunks
from shared.federated.task import Task, TrainingSettings
from shared.learning.direct import evaluate_on, train_on
from shared.learning.evaluation import NoPictures
from shared.learning.network import Network, build_network
from shared.learning.predictor import Predictor
from shared.learning.training import TrainingCancelled, train
from tests.datasets.idx_files import write_digits
from tests.learning.samples import make_pictures, make_task

DIGITS = tuple("0123456789")
TRAIN = """
from shared.learning.determinism import make_deterministic
from tests.learning.test_grey_networks import grey, learn, noise, sha256
make_deterministic(5)
for architecture in ("mnist_mlp", "mnist_cnn"):
    network = grey(architecture)
    learn(network, noise(70), seed=3)
    print(sha256(network))
"""
SETTINGS = TrainingSettings(epochs=1, batch_size=32, learning_rate=0.05, optimizer="sgd")
ARCHITECTURES = ["mnist_mlp", "mnist_cnn"]


def grey(architecture: str, **changes: Any) -> Network:
    values = {"name": "mnist", "classes": DIGITS, "architecture": architecture} | changes
    return build_network(Task.model_validate(values), Path("nowhere"))


def noise(count: int, seed: int = 1) -> Samples:
    random = np.random.default_rng(seed)
    pictures = random.integers(0, 256, (count, 28, 28, 1), np.uint8)
    return Samples(pictures, random.integers(0, 10, count))


def learn(network: Network, samples: Samples, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "settings": SETTINGS,
        "seed": 1,
        "on_epoch": lambda *_: None,
        "should_stop": lambda: False,
    }
    return train_on(network, samples, **(arguments | changes))


def sha256(network: Network) -> str:
    arrays = network.weights().values()
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ChunkedDataset:
    """Real handwriting: scikit-learn's digits in MNIST's format, in chunks of 700 pictures."""
    directory = tmp_path_factory.mktemp("digits")
    write_digits(directory)
    return open_chunks(directory, DIGITS, 28, 1, chunk_size=700)


def test_the_perceptron_of_the_paper() -> None:
    sizes = {name: array.size for name, array in grey("mnist_mlp").weights().items()}
    assert sizes == {
        "dense1/kernel": 784 * 200,
        "dense1/bias": 200,
        "dense2/kernel": 200 * 200,
        "dense2/bias": 200,
        "classes/kernel": 200 * 10,
        "classes/bias": 10,
    }
    assert sum(sizes.values()) == 199_210


def test_the_convolutional_network_of_the_paper() -> None:
    sizes = {name: array.size for name, array in grey("mnist_cnn").weights().items()}
    assert sizes == {
        "conv1/kernel": 5 * 5 * 1 * 32,
        "conv1/bias": 32,
        "conv2/kernel": 5 * 5 * 32 * 64,
        "conv2/bias": 64,
        "dense/kernel": 7 * 7 * 64 * 512,
        "dense/bias": 512,
        "classes/kernel": 512 * 10,
        "classes/bias": 10,
    }
    assert sum(sizes.values()) == 1_663_370


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_is_what_keras_builds_of_the_paper(architecture: str) -> None:
    """The same answers as a plain model of these layers with these weights."""
    layers = keras.layers
    hidden: list[Any] = [layers.Flatten()]
    hidden += [layers.Dense(200, activation="relu"), layers.Dense(200, activation="relu")]
    if architecture == "mnist_cnn":
        hidden = []
        for channels in (32, 64):
            hidden += [layers.Conv2D(channels, 5, padding="same", activation="relu")]
            hidden += [layers.MaxPooling2D(2)]
        hidden += [layers.Flatten(), layers.Dense(512, activation="relu")]
    plain = keras.Sequential([keras.Input((28, 28, 1)), *hidden, layers.Dense(10)])
    network, samples = grey(architecture), noise(7)
    plain.set_weights(list(network.weights().values()))
    theirs = plain(samples.pictures.astype(np.float32) / 255)
    np.testing.assert_allclose(network.answer(samples.pictures), theirs, atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("size", "classes"), [(28, 2), (8, 10), (33, 30)])
def test_any_size_and_any_number_of_classes(architecture: str, size: int, classes: int) -> None:
    names = tuple(f"c{number}" for number in range(classes))
    network = grey(architecture, image_size=size, classes=names)
    assert network.feature_shape == (size, size, 1)
    answer = network.answer(network.extract(np.zeros((3, size, size, 1), np.uint8)))
    assert answer.shape == (3, classes)


def test_grey_pictures_are_told_from_coloured_ones() -> None:
    network = grey("mnist_mlp", image_size=32)
    coloured = build_network(make_task(architecture="catdog_cnn"), Path("nowhere"))
    assert network.features_key.split("-")[-1] != coloured.features_key.split("-")[-1]
    with pytest.raises(ValueError, match="not 32 pixels a side in 1 channels"):
        network.extract(make_pictures(2)[0])


def test_one_picture_at_a_time(tmp_path: Path) -> None:
    """As the device's page asks: by LiteRT."""
    from shared.federated.weights import write_weights

    network, samples = grey("mnist_cnn"), noise(3)
    write_weights(tmp_path / "tail", network.weights())
    predictor = Predictor(network.task, tmp_path)
    predictor.load(tmp_path / "tail")
    logits = network.answer(samples.pictures).astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for picture, expected in zip(samples.pictures, chances, strict=True):
        np.testing.assert_allclose(predictor.probabilities(picture), expected, atol=1e-5)


@pytest.mark.parametrize(("architecture", "least"), [("mnist_mlp", 0.85), ("mnist_cnn", 0.9)])
def test_it_learns_handwriting(digits: ChunkedDataset, architecture: str, least: float) -> None:
    network = grey(architecture)
    settings = TrainingSettings(epochs=3, batch_size=16, learning_rate=0.05, optimizer="sgd")
    for number in digits.shards(1, 2):
        history = learn(network, digits.chunk(number), settings=settings)
    assert len(history["loss"]) == 3
    measured = evaluate_on(network, digits.test())
    assert measured.accuracy > least
    assert measured.confusion.sum() == measured.num_samples == 360
    assert np.trace(measured.confusion) == round(measured.accuracy * 360)


def test_it_learns_mnist_from_one_chunk(test_data: Path) -> None:
    dataset = open_chunks(test_data / "mnist", DIGITS, 28, 1)
    network = grey("mnist_mlp")
    settings = TrainingSettings(epochs=2, batch_size=10, learning_rate=0.05, optimizer="sgd")
    learn(network, dataset.chunk(1), settings=settings)
    assert evaluate_on(network, dataset.test()).accuracy > 0.85


def test_a_chunk_of_another_size_costs_no_new_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    network, traces = grey("mnist_mlp"), []
    plain = network.tail.call

    def counting(*arguments: Any, **named: Any) -> Any:
        traces.append(named["training"])
        return plain(*arguments, **named)

    monkeypatch.setattr(network.tail, "call", counting)
    for count in (50, 30, 1):
        learn(network, noise(count))
        evaluate_on(network, noise(count))
    assert traces == [True, False]


def test_training_on_arrays_is_the_training_of_a_device() -> None:
    network, samples = grey("mnist_mlp"), noise(40)
    told: list[tuple[int, dict[str, float]]] = []
    history = learn(network, samples, on_epoch=lambda *report: told.append(report), seed=5)
    ours = network.weights()
    assert told == [(1, {name: values[0] for name, values in history.items()})]
    network.reset()
    features = network.extract(samples.pictures)
    arguments = (None, lambda *_: None, lambda: False)
    assert train(network, features, samples.labels, SETTINGS, 5, *arguments) == history
    assert same(network.weights(), ours)


def test_equal_seeds_give_equal_bits_in_another_process() -> None:
    elsewhere = subprocess.run(
        [sys.executable, "-c", TRAIN], check=True, capture_output=True, text=True, timeout=180
    )
    here = []
    for architecture in ARCHITECTURES:
        network = grey(architecture)
        for seed in (4, 3):
            network.reset()
            learn(network, noise(70), seed=seed)
        here.append(sha256(network))
    assert elsewhere.stdout.split() == here


def test_a_training_that_is_stopped_changes_nothing() -> None:
    network = grey("mnist_mlp")
    before = network.weights()
    told: list[int] = []
    with pytest.raises(TrainingCancelled):
        learn(
            network,
            noise(40),
            settings=SETTINGS.model_copy(update={"epochs": 5}),
            on_epoch=lambda epoch, _: told.append(epoch),
            should_stop=lambda: len(told) == 2,
        )
    assert told == [1, 2]
    assert same(network.weights(), before)


def test_nothing_to_train_on_or_to_measure_on() -> None:
    network = grey("mnist_mlp")
    with pytest.raises(NoPictures):
        learn(network, noise(0))
    with pytest.raises(NoPictures):
        evaluate_on(network, noise(0))
