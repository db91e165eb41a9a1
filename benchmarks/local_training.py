"""One device's training: Fedbell beside the recipe that many tutorials and servers follow.

That recipe, on the same photos of cats and dogs: in each round build MobileNet 1.0 at 224
pixels anew, load ImageNet's weights, train its last block and a new head for 10 epochs, Adam at
1e-4, batches of 10, reading the files again in each epoch and validating after each. Here: what
a device's trainer does for one ``modeltrain``, from the files to the update, at the same width,
size, epochs and batch size; round 1 builds the network and runs the backbone over each picture.
Photos and weights come from $FEDBELL_TEST_DATA; without it there is nothing to measure.
"""

import multiprocessing
import os
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import keras

from benchmarks.report import TEST_DATA, Claim, begin
from shared.device.trainer_process import trainer_environment
from shared.device.trainer_work import TrainerWork
from shared.federated.task import Task
from shared.learning.backbone import imagenet_file
from shared.learning.processors import processors

CLASSES = ("cats", "dogs")
SIZE, BATCH = 224, 10
#: What tasks have unless they say otherwise. The recipe's is its own.
LEARNING_RATE = 1e-3
PHOTOS = TEST_DATA / "cats_dogs" / "original_sample"
WEIGHTS = TEST_DATA / "weights"


def write_pictures(directory: Path, each: int) -> None:
    """Of each class ``each`` photos to train on and half as many to validate on."""
    for name in CLASSES:
        photos = sorted((PHOTOS / name).glob("*.jpg"))
        parts = {"train": photos[:each], "valid": photos[each : each + each // 2]}
        for split, part in parts.items():
            folder = directory / split / name
            folder.mkdir(parents=True)
            for photo in part:
                shutil.copy(photo, folder)


def recipe(directory: Path, epochs: int) -> dict[str, Any]:
    """One round of the recipe: seconds, and the last epoch's validation accuracy."""
    started = time.perf_counter()
    keras.utils.set_random_seed(1)
    network = keras.applications.MobileNet(
        input_shape=(SIZE, SIZE, 3),
        include_top=False,
        pooling="avg",
        weights=str(WEIGHTS / imagenet_file(1.0)),
    )
    names = [layer.name for layer in network.layers]
    last_block = names.index("conv_pw_13")
    for layer in network.layers[:last_block]:
        layer.trainable = False
    pixels = keras.Input((SIZE, SIZE, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    answer = keras.layers.Dense(len(CLASSES), activation="softmax")(network(scaled))
    model = keras.Model(pixels, answer)
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(1e-4), loss, metrics=["accuracy"])
    train, valid = (
        keras.utils.image_dataset_from_directory(
            str(directory / split),
            class_names=list(CLASSES),
            image_size=(SIZE, SIZE),
            batch_size=BATCH,
            shuffle=split == "train",
            seed=1,
            verbose=False,
        )
        for split in ("train", "valid")
    )
    history = model.fit(train, validation_data=valid, epochs=epochs, verbose=0).history
    seconds = time.perf_counter() - started
    keras.backend.clear_session()
    return {"seconds": seconds, "val_accuracy": history["val_accuracy"][-1]}


def task(depth: str) -> Task:
    return Task.model_validate(
        {
            "name": "animals",
            "classes": CLASSES,
            "alpha": 1.0,
            "image_size": SIZE,
            "backbone": "imagenet",
            "trainable": depth,
        }
    )


def rounds(depth: str, directory: Path, folder: Path, epochs: int, later: int) -> list[Any]:
    """Round 1 of a device that knows nothing yet, and ``later`` rounds after it."""
    definition = task(depth).model_dump(mode="json")
    start, output = folder / "start.safetensors", folder / "update.safetensors"
    work = TrainerWork(str(WEIGHTS), str(folder / "features"), 2**31)
    results = []

    def quiet(_: dict[str, Any]) -> None:
        pass

    def not_cancelled() -> bool:
        return False

    for number in range(1 + later):
        started = time.perf_counter()
        if number == 0:
            work.initial(definition, str(start), quiet, not_cancelled)
        told = work.train(
            task=definition,
            pictures=str(directory),
            files={
                "start": str(start),
                "base": str(start),
                "update": str(output),
                "keeps": str(output.with_name("keeps")),
            },
            settings={
                "epochs": epochs,
                "batch_size": BATCH,
                "learning_rate": LEARNING_RATE,
            },
            seed=number,
            header={"device": "device1", "base_version": number},
            report=quiet,
            cancelled=not_cancelled,
        )
        seconds = time.perf_counter() - started
        results.append({"seconds": seconds, "val_accuracy": told["metrics"]["val_accuracy"]})
        assert told["num_samples"] == sum(1 for _ in (directory / "train").glob("*/*"))
        assert not told["skipped"]
    return results


def main() -> None:
    run = begin("local_training", __doc__)
    if not PHOTOS.is_dir() or not (WEIGHTS / imagenet_file(1.0)).exists():
        print(f"Left out: no photos and weights in {TEST_DATA} (set FEDBELL_TEST_DATA).")
        return
    each, epochs, repetitions, later = (10, 2, 1, 2) if run.quick else (100, 10, 2, 7)
    reference: list[dict[str, Any]] = []
    ours: dict[str, list[list[Any]]] = {"head": [], "block": []}
    # A process of its own: what Fedbell asks of TensorFlow must not slow the recipe down.
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(1, spawn) as elsewhere:
        os.environ["KERAS_HOME"] = str(Path(name) / "keras")
        elsewhere.submit(os.getpid).result()  # it runs, with TensorFlow's own settings
        os.environ |= trainer_environment(processors())
        directory = Path(name) / "dataset"
        write_pictures(directory, each)
        for repetition in range(repetitions):
            reference.append(elsewhere.submit(recipe, directory, epochs).result())
            print(f"recipe, {repetition + 1} of {repetitions}: {reference[-1]}", flush=True)
            for depth, told in ours.items():
                folder = Path(name) / f"{depth}{repetition}"
                told.append(rounds(depth, directory, folder, epochs, later))
                print(f"{depth}: {told[-1][0]}, then {told[-1][-1]}", flush=True)
    theirs = median(each["seconds"] for each in reference)
    first = {depth: median(run[0]["seconds"] for run in told) for depth, told in ours.items()}
    rest = {
        depth: median(each["seconds"] for run in told for each in run[1:])
        for depth, told in ours.items()
    }
    accuracy = {
        "recipe": max(each["val_accuracy"] for each in reference),
        **{depth: min(run[0]["val_accuracy"] for run in told) for depth, told in ours.items()},
    }
    against = "the recipe, rebuilt each round"
    claims = [
        Claim("one device's training, round 1, head", against, first["head"], theirs, "s", 6),
        Claim("one device's training, round 1, block", against, first["block"], theirs, "s", 6),
        Claim("one device's training, later rounds, head", against, rest["head"], theirs, "s", 60),
        Claim("one device's training, later rounds, block", against, rest["block"], theirs, "s", 6),
        Claim(
            "validation accuracy after round 1, head",
            against,
            accuracy["head"],
            accuracy["recipe"],
            "share",
            1.0,
            "more",
        ),
        Claim(
            "validation accuracy after round 1, block",
            against,
            accuracy["block"],
            accuracy["recipe"],
            "share",
            1.0,
            "more",
        ),
    ]
    run.save(
        {
            "training_pictures": 2 * each,
            "validation_pictures": 2 * (each // 2),
            "epochs": epochs,
            "learning_rate": LEARNING_RATE,
            "recipe": reference,
            "rounds": ours,
        },
        claims,
    )


if __name__ == "__main__":
    main()
