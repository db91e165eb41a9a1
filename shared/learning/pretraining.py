"""Trains the built-in backbone: ``make pretrain``.

A MobileNet learns to tell CIFAR-10 photos and handwritten symbols apart, first on small
pictures (fast), then on larger ones. Its classifier is thrown away; the rest is the backbone.
"""

import argparse
import logging
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.federated.weights import write_weights
from shared.learning.architectures.mobilenet import mobilenet
from shared.learning.backbone import BUILTIN
from shared.learning.loading import keras, tf
from shared.learning.pretraining_pictures import Collection, read_collection, vary

_log = logging.getLogger(__name__)

ALPHA = 0.25
BATCH_SIZE = 128
PEAK_LEARNING_RATE = 0.004
#: Side of the pictures in pixels, epoch by epoch: speed first, then the size of use.
SIZES = (48,) * 8 + (64,) * 8 + (96,) * 9
#: Symbols are easy: this many in an epoch, others in the next, are enough.
SYMBOLS_PER_EPOCH = 9_000


def learning_rate(progress: float) -> float:
    """Up over the first tenth, then down along a cosine; ``progress`` runs from 0 to 1."""
    if progress < 0.1:
        return PEAK_LEARNING_RATE * (0.05 + 9.5 * progress)
    return PEAK_LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * (progress - 0.1) / 0.9))


def pretrain(collection: Collection, sizes: Sequence[int], seed: int, output: Path) -> None:
    """Train an epoch at each of ``sizes``; after each write the backbone to ``output``, and log."""
    keras.utils.set_random_seed(seed)
    backbone = mobilenet(ALPHA, None)
    logits = keras.layers.Dense(collection.num_classes, name="classes")(backbone.output)
    network = keras.Model(backbone.input, logits)
    step = _compile(network, collection, seed)
    generator = np.random.default_rng(seed)
    start, number = time.monotonic(), 0
    for epoch, size in enumerate(sizes):
        batches = _batches(collection, generator)
        losses = []
        for index, batch in enumerate(batches):
            rate = learning_rate((epoch + index / len(batches)) / len(sizes))
            pictures = tf.constant(collection.train.pictures[batch])
            labels = tf.constant(collection.train.labels[batch])
            losses.append(step(pictures, labels, tf.constant(number), tf.constant(rate), size))
            number += 1
        write_weights(output, {v.path: v.numpy() for v in backbone.variables})
        # Unlike other weights, these are for everybody: an image copies them for another user.
        output.chmod(0o644)
        photos, symbols = _accuracies(network, collection, size)
        _log.info(
            "epoch %d/%d  %d px  loss %.3f  test accuracy: photos %.3f  symbols %.3f  %.0f s",
            *(epoch + 1, len(sizes), size, np.mean(losses), photos, symbols),
            time.monotonic() - start,
        )


def _compile(network: keras.Model, collection: Collection, seed: int) -> Any:
    """One training step, traced once for each size of picture."""
    optimizer = keras.optimizers.AdamW(weight_decay=0.02)
    optimizer.build(network.trainable_variables)

    def step(pictures: Any, labels: Any, number: Any, rate: Any, size: int) -> Any:
        shown = vary(pictures, labels >= collection.first_symbol, size, [seed, number])
        with tf.GradientTape() as tape:
            answer = network(shown / 127.5 - 1, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=answer)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.learning_rate.assign(rate)
        optimizer.apply(gradients, network.trainable_variables)
        return loss

    return tf.function(step)


def _batches(collection: Collection, generator: np.random.Generator) -> list[Any]:
    """Indices of this epoch's pictures, shuffled, cut into whole batches."""
    symbol = collection.train.labels >= collection.first_symbol
    symbols = generator.permutation(np.flatnonzero(symbol))[:SYMBOLS_PER_EPOCH]
    order = generator.permutation(np.concatenate([np.flatnonzero(~symbol), symbols]))
    return np.split(order[: len(order) // BATCH_SIZE * BATCH_SIZE], len(order) // BATCH_SIZE)


def _accuracies(network: Any, collection: Collection, size: int) -> tuple[float, float]:
    """Accuracy on every fifth test picture: of the photos, and of the symbols."""
    pictures, labels = collection.test.pictures[::5], collection.test.labels[::5]
    answers = []
    for begin in range(0, len(labels), 256):
        pixels = tf.image.resize(pictures[begin : begin + 256], [size, size])
        answers.append(np.argmax(network(pixels / 127.5 - 1, training=False), axis=1))
    right = np.concatenate(answers) == labels
    symbol = labels >= collection.first_symbol
    return float(right[~symbol].mean()), float(right[symbol].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("FEDBELL_TEST_DATA"),
        help="holds cifar10/ and math_symbols/; default: $FEDBELL_TEST_DATA",
    )
    parser.add_argument("--output", type=Path, default=BUILTIN)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name the folder that holds cifar10/ and math_symbols/: --data PATH")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    collection = read_collection(arguments.data)
    pretrain(collection, SIZES, arguments.seed, arguments.output)


if __name__ == "__main__":
    main()
