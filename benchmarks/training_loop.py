"""Local training of the field's best-known small network: Fedbell's loop beside Keras's.

The convolutional network for MNIST of McMahan et al. 2017 (arXiv:1602.05629), 1,663,370
parameters, trained as one device of theirs would: 600 samples, batches of 10, 5 epochs, Adam.
Digits come from $FEDBELL_TEST_DATA; without it, noise does: the arithmetic is the same.
Both are measured as in a later round, warmed up, and as in the first, with all compilation.
"""

import gzip
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from benchmarks.report import TEST_DATA, Claim, begin
from shared.federated.task import TrainingSettings
from shared.learning.training_loop import TrainingLoop

PARAMETERS = 1_663_370
SAMPLES = 600


def mnist_cnn() -> keras.Model:
    """Two convolutions of 5 x 5, each pooled, and a dense layer of 512."""
    keras.utils.set_random_seed(1)
    pixels = keras.Input((28, 28, 1))
    layer = pixels
    for width in (32, 64):
        layer = keras.layers.Conv2D(width, 5, padding="same", activation="relu")(layer)
        layer = keras.layers.MaxPooling2D()(layer)
    layer = keras.layers.Dense(512, activation="relu")(keras.layers.Flatten()(layer))
    return keras.Model(pixels, keras.layers.Dense(10)(layer))


def digits(begin_at: int, count: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Pictures float32 (n, 28, 28, 1) in [0, 1] and labels (n,)."""
    pixels = TEST_DATA / "mnist" / "train-images-idx3-ubyte.gz"
    if not pixels.exists():
        generator = np.random.default_rng(begin_at)
        noise = generator.random((count, 28, 28, 1), np.float32)
        return noise, generator.integers(0, 10, count)
    labels = TEST_DATA / "mnist" / "train-labels-idx1-ubyte.gz"
    with gzip.open(pixels) as file:
        seen = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    with gzip.open(labels) as file:
        told = np.frombuffer(file.read(), np.uint8, offset=8)
    part = slice(begin_at, begin_at + count)
    return seen[part].astype(np.float32) / np.float32(255), told[part].astype(np.int64)


def with_keras(settings: TrainingSettings, data: Any) -> tuple[Any, Callable[[], None]]:
    model = mnist_cnn()
    model.compile(
        keras.optimizers.Adam(settings.learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    def fit() -> None:
        model.fit(*data, batch_size=settings.batch_size, epochs=settings.epochs, verbose=0)

    return model, fit


def with_fedbell(settings: TrainingSettings, data: Any) -> tuple[Any, Callable[[], None]]:
    model = mnist_cnn()
    loop = TrainingLoop(model)
    features, labels = data
    nothing = features[:0], labels[:0]

    def train() -> None:
        loop.run(
            features, labels, nothing, settings, 1, lambda _epoch, _metrics: True, lambda *_: True
        )

    return model, train


def accuracy(model: keras.Model, data: Any) -> float:
    """On other samples, after all trainings."""
    logits = model.predict(data[0], verbose=0)
    return float((logits.argmax(axis=1) == data[1]).mean())


def main() -> None:
    run = begin("training_loop", __doc__)
    settings = TrainingSettings(epochs=1 if run.quick else 5, batch_size=10, learning_rate=0.001)
    repetitions = 2 if run.quick else 9
    data, others = digits(0, SAMPLES), digits(50_000, 1000)
    makers: dict[str, Callable[[], tuple[Any, Callable[[], None]]]] = {
        "keras.Model.fit": lambda: with_keras(settings, data),
        "Fedbell": lambda: with_fedbell(settings, data),
    }
    first: dict[str, float] = {}
    ready: dict[str, tuple[Any, Callable[[], None]]] = {}
    for name, make in makers.items():
        started = time.perf_counter()
        ready[name] = make()
        ready[name][1]()
        first[name] = time.perf_counter() - started
        print(f"{name}: first training, with its compilation, {first[name]:.2f} s", flush=True)
        assert ready[name][0].count_params() == PARAMETERS
    samples: dict[str, list[float]] = {name: [] for name in ready}
    for repetition in range(repetitions):
        for name, (_, train) in ready.items():
            started = time.perf_counter()
            train()
            samples[name].append(time.perf_counter() - started)
        print(f"repetition {repetition + 1} of {repetitions}", flush=True)
    accuracies = {name: accuracy(model, others) for name, (model, _) in ready.items()}
    if (TEST_DATA / "mnist").exists():
        assert min(accuracies.values()) > (0.5 if run.quick else 0.85), accuracies
    seconds = {name: median(values) for name, values in samples.items()}
    run.save(
        {
            "parameters": PARAMETERS,
            "samples": SAMPLES,
            "settings": settings.model_dump(),
            "seconds": seconds,
            "first_seconds": first,
            "accuracy_on_others": accuracies,
            "all_seconds": samples,
        },
        [
            Claim(
                "local training, MNIST CNN of 1,663,370 parameters",
                "keras.Model.fit",
                seconds["Fedbell"],
                seconds["keras.Model.fit"],
                "s",
                1.5,
            )
        ],
    )


if __name__ == "__main__":
    main()
