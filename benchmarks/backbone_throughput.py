"""How many pictures a second a frozen backbone takes, on each runtime there is for it.

MobileNet 1.0 at 224 pixels, pixels in and pooled features out, on all of this machine's cores,
one runtime after the other, over and over. The shipped one is ``BackboneRuntime``. ImageNet's
weights and photos come from $FEDBELL_TEST_DATA; without it, noise and random weights do.
ONNX Runtime and OpenVINO are no part of Fedbell: ``make compared`` installs them.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import IO, Any, cast

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from benchmarks.report import TEST_DATA, Claim, begin
from shared.datasets import decode
from shared.learning.architectures.mobilenet import mobilenet
from shared.learning.backbone import assign, imagenet_file, read_keras_h5
from shared.learning.processors import processors
from shared.learning.runtime import BackboneRuntime

SIZE = 224
#: Features may differ from Keras's by this part of the largest feature.
AGREEMENT = 1e-3
REFERENCE, SHIPPED = "keras.Model.predict, batches of 32", "LiteRT in TensorFlow (shipped)"
ROOT = Path(__file__).parents[1]
OTHERS = ROOT / ".venv-runtimes"

Run = Callable[[], npt.NDArray[np.float32]]


def backbone() -> keras.Model:
    keras.utils.set_random_seed(1)
    network = mobilenet(1.0, SIZE)
    weights = TEST_DATA / "weights" / imagenet_file(1.0)
    if weights.exists():
        assign(network, read_keras_h5(weights, network))
    return network


def pictures(count: int) -> npt.NDArray[np.uint8]:
    """Photos, over again if there are too few; else noise."""
    photos = sorted((TEST_DATA / "cats_dogs" / "original_sample").glob("*/*.jpg"))
    if not photos:
        return np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    return np.stack([decode(photos[index % len(photos)], SIZE) for index in range(count)])


def folded(network: keras.Model) -> dict[str, Any]:
    """Each convolution with the batch norm behind it as one kernel and bias."""
    norms = iter(
        [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    )
    convolutions = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    layers: dict[str, Any] = {}
    found = [layer for layer in network.layers if isinstance(layer, convolutions)]
    for index, (layer, norm) in enumerate(zip(found, norms, strict=True)):
        gamma, beta, mean, variance = (np.asarray(weight) for weight in norm.weights)
        factor = gamma / np.sqrt(variance + norm.epsilon)
        is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        kernel = np.asarray(layer.weights[0])
        layers |= {
            f"kernel{index}": kernel * (factor[:, np.newaxis] if is_depthwise else factor),
            f"bias{index}": beta - mean * factor,
            f"stride{index}": layer.strides[0],
            f"depthwise{index}": is_depthwise,
        }
    return layers


@contextmanager
def other_runtimes(network: keras.Model, seen: npt.NDArray[np.uint8]) -> Iterator[Any]:
    """Functions that run a picture set elsewhere and give (seconds, features), by name."""
    python = OTHERS / "bin" / "python"
    if not python.exists():
        print("ONNX Runtime and OpenVINO are left out: `make compared` installs them.")
        yield {}
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "pictures.npy", seen)
        np.savez(folder / "layers.npz", **folded(network))
        script = ROOT / "benchmarks" / "runtimes" / "serve.py"
        process = subprocess.Popen(
            [str(python), str(script), str(folder), str(processors())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        requests, answers = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)

        def runner(runtime: str) -> Callable[[], tuple[float, Any]]:
            def run() -> tuple[float, Any]:
                print(runtime, file=requests, flush=True)
                return float(answers.readline()), np.load(folder / f"{runtime}.npy")

            return run

        try:
            versions = json.loads(answers.readline())
            yield {f"{name} {told}": runner(name) for name, told in versions.items()}
        finally:
            requests.close()
            process.wait(30)
            answers.close()


def timed(run: Run) -> Callable[[], tuple[float, Any]]:
    def measure() -> tuple[float, Any]:
        started = time.perf_counter()
        features = run()
        return time.perf_counter() - started, features

    return measure


def compiled(network: keras.Model, seen: npt.NDArray[np.uint8], batch: int) -> Run:
    """A tf.function of one signature, ``batch`` pictures at a time."""

    def extract(pixels: Any) -> Any:
        return network(tf.cast(pixels, tf.float32) / 127.5 - 1, training=False)

    signature = [tf.TensorSpec((batch, SIZE, SIZE, 3), tf.uint8)]
    traced = tf.function(extract, input_signature=signature).get_concrete_function()

    def run() -> npt.NDArray[np.float32]:
        parts = range(0, len(seen), batch)
        return np.concatenate([traced(tf.constant(seen[i : i + batch])).numpy() for i in parts])

    return run


def main() -> None:
    run = begin("backbone_throughput", __doc__)
    count, repetitions = (32, 2) if run.quick else (256, 7)
    network, seen = backbone(), pictures(count)
    inputs = seen / np.float32(127.5) - 1
    ours = BackboneRuntime(network, SIZE, 127.5, 1, processors())
    runtimes = {
        REFERENCE: timed(lambda: network.predict(inputs, batch_size=32, verbose=0)),
        "tf.function, batches of 32": timed(compiled(network, seen, 32)),
        "tf.function, batches of 8": timed(compiled(network, seen, 8)),
        SHIPPED: timed(lambda: ours.run(seen)),
    }
    samples: dict[str, list[float]] = {}
    errors: dict[str, float] = {}
    with other_runtimes(network, seen) as others:
        runtimes |= others
        expected = np.empty(0)
        for repetition in range(repetitions + 1):
            print(f"repetition {repetition} of {repetitions}", flush=True)
            for name, measure in runtimes.items():
                seconds, features = measure()
                expected = expected if expected.size else features
                errors[name] = float(np.abs(features - expected).max() / np.abs(expected).max())
                assert errors[name] < AGREEMENT, f"{name} says something else than Keras"
                if repetition:  # the first one warms up
                    samples.setdefault(name, []).append(count / seconds)
    speeds = {name: median(values) for name, values in samples.items()}
    for name, speed in speeds.items():
        print(f"{name:<40}{speed:>8.1f} pictures/s   differs by {errors[name]:.1e}")
    run.save(
        {
            "pictures": count,
            "threads": processors(),
            "tensorflow": tf.__version__,
            "pictures_per_second": speeds,
            "difference_from_keras": errors,
            "samples": samples,
            "megabytes_installed": _sizes(),
        },
        [
            Claim(
                "backbone throughput, MobileNet 1.0 at 224 px",
                "keras.Model.predict",
                speeds[SHIPPED],
                speeds[REFERENCE],
                "pictures/s",
                1.5,
                "more",
            )
        ],
    )


def _sizes() -> dict[str, int]:
    """Megabytes that the packages which are not shipped would add to an installation."""
    sizes = {}
    for package in ("onnxruntime", "openvino"):
        for folder in OTHERS.glob(f"lib/python*/site-packages/{package}"):
            files = [path for path in folder.rglob("*") if path.is_file()]
            sizes[package] = round(sum(path.stat().st_size for path in files) / 1e6)
    return sizes


if __name__ == "__main__":
    main()
