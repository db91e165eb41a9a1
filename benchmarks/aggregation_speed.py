"""How fast updates are averaged, beside plain numpy on arrays that are in memory.

Ours reads files (in the page cache), sums in float64, and writes the version's file, hashed
and durable, on as many threads as there are processors, at most four. The reference is what one
would write with all updates in memory, ``sum += share * update`` in float32: numpy computes it on
one thread, and it writes nothing. Beside them, without a goal: ours over memory-mapped files that
give their pages back; this is why files are read, not mapped.

    python -m benchmarks.aggregation_speed
"""

import mmap
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.report import Claim, begin
from benchmarks.sending_devices import (
    UPDATE_BYTES,
    Shapes,
    random_weights,
    shapes_of,
)
from shared.federated.aggregation import Arrival, ServerState
from shared.federated.aggregation.fedavg import FedAvg
from shared.federated.update import Update
from shared.federated.weights import (
    Array,
    Schema,
    StreamedWeights,
    open_weights,
    read_weights,
    write_weights,
)

#: So many updates, of so many different contents: more than a processor's cache holds.
_UPDATES = 50
_CONTENTS = 10
_GOAL = 0.5


class Mapped(StreamedWeights):
    """A weights file, memory-mapped; pages are given back as soon as they were read."""

    def __init__(self, file: Path, schema: Schema) -> None:
        with file.open("rb") as content:
            self._map = mmap.mmap(content.fileno(), 0, prot=mmap.PROT_READ)
        self.schema = schema
        self._places, place = {}, 8 + int.from_bytes(self._map[:8], "little")
        for name, size in schema.sizes.items():  # as they are written, in order of name
            self._places[name], place = place, place + 4 * size

    def read(self, name: str, start: int, into: Array) -> None:
        begin = self._places[name] + 4 * start
        into[:] = np.frombuffer(self._map, np.float32, into.size, begin)
        page = begin - begin % mmap.PAGESIZE
        self._map.madvise(mmap.MADV_DONTNEED, page, begin + into.nbytes - page)


def plain(updates: Sequence[tuple[int, dict[str, Array]]]) -> dict[str, Array]:
    """The mean as one would write it: all in memory, float32."""
    total = sum(count for count, _ in updates)
    result = {name: np.zeros_like(array) for name, array in updates[0][1].items()}
    for count, weights in updates:
        share = np.float32(count / total)
        for name, array in weights.items():
            result[name] += share * array
    return result


def check(file: Path, updates: Sequence[tuple[int, dict[str, Array]]]) -> None:
    """Assert that ``file`` is numpy's average in float64, to the last bit."""
    counts = [count for count, _ in updates]
    for name, array in read_weights(file).items():
        total = np.zeros(array.shape)
        for count, weights in updates:
            total += weights[name].astype(np.float64) * count
        np.testing.assert_array_equal(array, (total / sum(counts)).astype(np.float32))


def measure(directory: Path, shapes: Shapes, times: int) -> dict[str, list[float]]:
    """Seconds of each way, taken in turns."""
    contents = [random_weights(shapes, seed) for seed in range(_CONTENTS)]
    for seed, weights in enumerate(contents):
        write_weights(directory / f"update{seed}", weights)
    updates = [(10 + index, contents[index % _CONTENTS]) for index in range(_UPDATES)]
    files = [directory / f"update{index % _CONTENTS}" for index in range(_UPDATES)]
    target = directory / "version"

    def average(sources: Sequence[StreamedWeights]) -> None:
        pairs = zip(updates, sources, strict=True)
        sent = [Update(f"device{i:03}", count, each) for i, ((count, _), each) in enumerate(pairs)]
        arrivals = [Arrival(update, sources[0]) for update in sent]
        made = FedAvg().next(ServerState(sources[0]), arrivals, len(sent))
        write_weights(target, made.weights)

    schema = Schema.of(updates[0][1])
    with ExitStack() as stack:
        opened = [stack.enter_context(open_weights(file)) for file in files]
        mapped = [Mapped(file, schema) for file in files]
        ways: dict[str, Callable[[], object]] = {
            "ours": lambda: average(opened),
            "mapped": lambda: average(mapped),
            "plain": lambda: plain(updates),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(-1, times):  # the first warms up and is not counted
            for name, way in ways.items():
                target.unlink(missing_ok=True)
                began = time.perf_counter()
                way()
                if number >= 0:
                    seconds[name].append(time.perf_counter() - began)
                elif name != "plain":
                    check(target, updates)
    return seconds


def main() -> None:
    run = begin("aggregation_speed", __doc__ or "")
    size, times = (4_000_000, 3) if run.quick else (UPDATE_BYTES, 7)
    result: dict[str, object] = {"updates": _UPDATES, "update_bytes": size}
    claims = []
    for name, shapes in shapes_of(size).items():
        print(f"{times} averages of {_UPDATES} updates of {size / 1e6:g} MB, {name}")
        with tempfile.TemporaryDirectory() as directory:
            seconds = measure(Path(directory), shapes, times)
        speed = {
            way: _UPDATES * size / 1e6 / statistics.median(samples)
            for way, samples in seconds.items()
        }
        print("  " + ", ".join(f"{way}: {speed[way]:.0f} MB/s" for way in speed))
        result[name] = {
            "seconds": seconds,
            "p10_p50_p90": {
                way: np.percentile(samples, [10, 50, 90]).tolist()
                for way, samples in seconds.items()
            },
            "megabytes_per_second": speed,
        }
        claims.append(
            Claim(
                what=f"averaging {_UPDATES} updates of {size / 1e6:g} MB from files, {name}",
                against="numpy in memory, float32",
                ours=speed["ours"],
                theirs=speed["plain"],
                unit="MB/s",
                goal=_GOAL,
                better="more",
            )
        )
    run.save(result, claims)


if __name__ == "__main__":
    main()
