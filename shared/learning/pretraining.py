"""Trains the built-in backbone: ``make pretrain``.

A MobileNet learns to tell CIFAR-10 photos and handwritten symbols apart, first on small
pictures (fast), then on larger ones. The photos have 32 pixels: scaled up to 96 they are
all blur, and a network that has seen nothing else makes little of a sharp photo. So in a
second stage half of what it sees are mosaics of four pictures, each scaled up half as far.
The classifier is thrown away after each stage; the rest is the backbone.
"""

import argparse
import logging
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shared.federated.weights import read_weights, write_weights
from shared.learning.architectures.mobilenet import mobilenet
from shared.learning.backbone import BUILTIN, assign
from shared.learning.pretraining_pictures import Collection, mosaic, read_collection, vary

_log = logging.getLogger(__name__)

ALPHA = 0.25
BATCH_SIZE = 128
#: Symbols are easy: this many in an epoch, others in the next, are enough.
SYMBOLS_PER_EPOCH = 9_000


@dataclass(frozen=True)
class Stage:
    """One run over a learning rate that rises and falls, with a classifier of its own."""

    #: Side of the pictures in pixels, epoch by epoch: speed first, then the size of use.
    sizes: tuple[int, ...]
    peak_learning_rate: float
    mosaics: bool

    def learning_rate(self, progress: float) -> float:
        """Up over the first tenth, then down along a cosine; ``progress`` is 0 to 1."""
        if progress < 0.1:
            return self.peak_learning_rate * (0.05 + 9.5 * progress)
        return self.peak_learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - 0.1) / 0.9))


STAGES = (
    Stage((48,) * 8 + (64,) * 8 + (96,) * 9, peak_learning_rate=0.004, mosaics=False),
    Stage((96,) * 6, peak_learning_rate=0.003, mosaics=True),
)


def pretrain(
    backbone: keras.Model, stage: Stage, collection: Collection, seed: int, output: Path
) -> None:
    """Train ``backbone`` for one stage; after every epoch write it to ``output``, and log."""
    keras.utils.set_random_seed(seed)
    logits = keras.layers.Dense(collection.num_classes, name="classes")(backbone.output)
    network = keras.Model(backbone.input, logits)
    step = _compile(network, stage, collection, seed)
    generator = np.random.default_rng(seed)
    start, number = time.monotonic(), 0
    for epoch, size in enumerate(stage.sizes):
        batches = _batches(collection, generator)
        losses = []
        for index, batch in enumerate(batches):
            rate = stage.learning_rate((epoch + index / len(batches)) / len(stage.sizes))
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
            *(epoch + 1, len(stage.sizes), size, np.mean(losses), photos, symbols),
            time.monotonic() - start,
        )


def _compile(network: keras.Model, stage: Stage, collection: Collection, seed: int) -> Any:
    """One training step, traced once for each size of picture."""
    optimizer = keras.optimizers.AdamW(weight_decay=0.02)
    optimizer.build(network.trainable_variables)

    def step(pictures: Any, labels: Any, number: Any, rate: Any, size: int) -> Any:
        is_symbol, noise = labels >= collection.first_symbol, [seed, number]
        targets = tf.one_hot(labels, collection.num_classes)
        if stage.mosaics:
            half = BATCH_SIZE // 2
            whole = vary(pictures[:half], is_symbol[:half], size, noise)
            tiles = vary(pictures[half:], is_symbol[half:], size // 2, noise)
            composed, shares = mosaic(tiles, targets[half:])
            shown = tf.concat([whole, composed], axis=0)
            targets = tf.concat([targets[:half], shares], axis=0)
        else:
            shown = vary(pictures, is_symbol, size, noise)
        with tf.GradientTape() as tape:
            answer = network(shown / 127.5 - 1, training=True)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, answer))
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
        default=Path(os.environ.get("FEDBELL_TEST_DATA", "../shared/assets")),
        help="holds cifar10/ and math_symbols/; $FEDBELL_TEST_DATA",
    )
    parser.add_argument("--output", type=Path, default=BUILTIN)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--after-first-stage", type=Path, help="go on from this backbone")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    collection = read_collection(arguments.data)
    keras.utils.set_random_seed(arguments.seed)
    backbone = mobilenet(ALPHA, None)
    stages: tuple[Stage, ...] = STAGES
    if arguments.after_first_stage:
        assign(backbone, read_weights(arguments.after_first_stage))
        stages = STAGES[1:]
    for stage in stages:
        pretrain(backbone, stage, collection, arguments.seed, arguments.output)


if __name__ == "__main__":
    main()
