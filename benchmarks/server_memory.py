"""How much memory the main server takes while updates come in and are averaged.

A real Gunicorn with two workers, real HTTP, four devices sending at a time. Every 10 ms the
resident memory of both workers is added up, as an operator sees it: anonymous pages, and
pages of files that are mapped. What counts is the most it grew from the idle figure, before
version 0 was offered, in models: for 10 updates, for 100, for a model of several arrays, and
for one that is a single array. The average that comes out is compared with numpy's.

    python -m benchmarks.server_memory
"""

import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import MemorySampler
from benchmarks.report import Claim, begin
from benchmarks.sending_devices import (
    TASK,
    UPDATE_BYTES,
    SendingDevice,
    Shapes,
    main_server,
    random_weights,
    shapes_of,
)
from shared.federated.weights import Array, open_weights

_AT_A_TIME = 4
_IDLE_SECONDS = 1
_GOAL_MODELS = 2
_KINDS = ("rss", "anonymous", "files")


def samples_of(index: int) -> int:
    """The number of samples of one device."""
    return 10 + index


def scaled(weights: Mapping[str, Array], index: int) -> dict[str, Array]:
    """What one device sends: different from what the others send."""
    return {name: array * np.float32(1 + index / 8) for name, array in weights.items()}


def measure(directory: Path, shapes: Shapes, updates: int) -> dict[str, Any]:
    """Idle memory, and how much it grew at most by each step; bytes."""
    weights = random_weights(shapes, seed=0)
    with main_server(directory) as server:
        workers = server.workers()
        devices = [SendingDevice(server, f"device{index:03}") for index in range(updates)]
        for device in devices:
            device.enrol()
        told: dict[str, Any] = {"updates": updates, "workers": len(workers)}
        with MemorySampler(lambda: workers) as memory:
            threading.Event().wait(_IDLE_SECONDS)
            idle = memory.take()
            told["idle"] = idle

            def note(step: str) -> None:
                most = memory.take()
                told[step] = {kind: most[kind] - idle[kind] for kind in _KINDS}

            devices[0].offer(weights, directory)
            note("version_0")

            def send(index: int) -> None:
                file = directory / f"update{index}"
                devices[index].write_update(file, scaled(weights, index), samples_of(index))
                devices[index].send(file)
                file.unlink()

            with ThreadPoolExecutor(_AT_A_TIME) as threads:
                list(threads.map(send, range(updates)))
            note("receiving")
            answer = server.do(f"/aggregate_models?task={TASK}")
            note("averaging")
            told["averaging_seconds"] = answer["seconds"]
        assert answer["updates"] == updates
        assert server.workers() == workers, "a worker was started anew"
        (file,) = (server.state / "models" / TASK).glob("1-*")
        check(file, weights, updates)
    told["most_growth"] = {
        kind: max(told[step][kind] for step in ("version_0", "receiving", "averaging"))
        for kind in _KINDS
    }
    return told


def check(file: Path, weights: Mapping[str, Array], updates: int) -> None:
    """Assert that the version is the average, computed by numpy in float64."""
    counts = [samples_of(index) for index in range(updates)]
    with open_weights(file) as version:
        for name, array in weights.items():
            total = np.zeros(array.shape)
            for index, count in enumerate(counts):
                total += count * scaled({name: array}, index)[name].astype(np.float64)
            np.testing.assert_array_equal(version[name], (total / sum(counts)).astype(np.float32))


def main() -> None:
    run = begin("server_memory", __doc__ or "")
    size = 8_000_000 if run.quick else UPDATE_BYTES
    numbers = (3, 6) if run.quick else (10, 100)
    result: dict[str, Any] = {"model_bytes": size}
    claims = []
    for name, shapes in shapes_of(size).items():
        for updates in numbers:
            print(f"{updates} updates of {size / 1e6:g} MB, {name}")
            with tempfile.TemporaryDirectory() as directory:
                told = measure(Path(directory), shapes, updates)
            result[f"{name}, {updates} updates"] = told
            growth = told["most_growth"]
            print(
                f"  idle {told['idle']['rss']:.0f} MB, grew by at most "
                f"{growth['rss']:.1f} MB, of which anonymous {growth['anonymous']:.1f} MB"
            )
            claims.append(
                Claim(
                    what=f"the main server's growth in memory, {updates} updates, {name}",
                    against="",
                    ours=growth["rss"] * 1e6 / size,
                    theirs=None,
                    unit=f"models of {size / 1e6:g} MB",
                    # The blocks in flight are as large as small models; they do not grow.
                    goal=None if run.quick else _GOAL_MODELS,
                    limit="at most",
                )
            )
    run.save(result, claims)


if __name__ == "__main__":
    main()
