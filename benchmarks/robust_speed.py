"""How fast robust strategies combine 100 updates of 50 MB, and in how much memory.

Each runs in a process of its own, from files in the page cache to the version's file, hashed and
durable, on as many threads as there are processors, at most four; within them, as in the main
server, matrices are multiplied by one. Beside it, in turns in the same
process, all files are read once, block by block into one place that is used again: by one thread,
which is what the goal compares with, and by as many threads as writing uses. Once more both are
done when the page cache has nothing of the files, as after a restart: then the disk is read. What a
strategy adds to memory is the most that its process held while it ran, without what it held before.

    python -m benchmarks.robust_speed
"""

import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import MemorySampler
from benchmarks.report import Claim, begin
from benchmarks.sending_devices import random_weights, shapes_of
from shared.federated.aggregation import STRATEGIES, Arrival, ServerState
from shared.federated.side_by_side import THREADS
from shared.federated.update import Update
from shared.federated.weights import WeightsFile, open_weights, write_weights

#: Beside the robust ones, without a goal: what they are compared with otherwise.
_ALSO = "fedavg"
_BASE = "base"
_BLOCK_NUMBERS = 32 * 1024
_PIECE_NUMBERS = 256 * 1024
#: A strategy may take so many times as long as reading, and may add so many MB to memory.
_MOST_READINGS = 4
_MOST_MEGABYTES = 500
_WAIT_SECONDS = 3600
_FROM_DISK_TIMES = 3
_READING = "reading, 1 thread"
_READING_DISK, _COMBINING_DISK = "reading from disk, 1 thread", "combining from disk"
_COMPARED = (
    ("reading the files once from memory, one thread", "combining", _READING),
    ("reading the files once from disk, one thread", _COMBINING_DISK, _READING_DISK),
)


def read_all(files: Sequence[WeightsFile], threads: int) -> None:
    """Read every number of all files once."""

    def read(name: str, start: int, size: int) -> None:
        place = np.empty(min(size, _BLOCK_NUMBERS), np.float32)
        for first in range(0, size, _BLOCK_NUMBERS):
            for file in files:
                file.read(name, start + first, place[: size - first])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda piece: read(*piece), files[0].schema.pieces(_PIECE_NUMBERS)))


def measure(directory: Path, names: Sequence[Path], strategy: str, times: int) -> dict[str, Any]:
    """Seconds of wall and of processor of each way, taken in turns; and megabytes."""
    with ExitStack() as stack:
        base = stack.enter_context(open_weights(directory / _BASE))
        files = [stack.enter_context(open_weights(name)) for name in names]
        arrivals = [
            Arrival(Update(f"device{number:03}", 10, file), base)
            for number, file in enumerate(files)
        ]

        def combine() -> None:
            made = STRATEGIES[strategy]().next(ServerState(base), arrivals, len(arrivals))
            write_weights(directory / "version", made.weights)

        ways: dict[str, Callable[[], None]] = {
            _READING: lambda: read_all(files, 1),
            f"reading, {THREADS} threads": lambda: read_all(files, THREADS),
            "combining": combine,
        }
        from_disk = {_READING_DISK: ways[_READING], _COMBINING_DISK: combine}
        read_all(files, THREADS)  # into the page cache
        with MemorySampler(lambda: [os.getpid()]) as memory:
            idle = memory.take()["rss"]
            combine()
            most = memory.take().get("rss", idle)
        told: dict[str, Any] = {
            "megabytes": most - idle,
            "seconds": {way: [] for way in ways | from_disk},
            "processor_seconds": {way: [] for way in ways | from_disk},
        }
        for turn in range(times):
            for way, run in (ways if turn < times - _FROM_DISK_TIMES else ways | from_disk).items():
                if way in from_disk:
                    forget(names)
                wall, processor = time.perf_counter(), time.process_time()
                run()
                told["seconds"][way].append(time.perf_counter() - wall)
                told["processor_seconds"][way].append(time.process_time() - processor)
    return told


def forget(names: Sequence[Path]) -> None:
    """Take files out of the page cache; they are durable already."""
    for name in set(names):
        with name.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def in_a_process(*arguments: Any) -> dict[str, Any]:
    """:func:`measure` in a fresh process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_tell, args=(theirs, arguments))
    process.start()
    theirs.close()
    try:
        assert ours.poll(_WAIT_SECONDS)
        told: dict[str, Any] = ours.recv()
    finally:
        process.join()
    return told


def _tell(pipe: Connection, arguments: Any) -> None:
    pipe.send(measure(*arguments))


def write_updates(directory: Path, count: int, size_bytes: int) -> list[Path]:
    """A version, and files of updates that started from it; fewer contents where room is short."""
    shapes = shapes_of(size_bytes)["several arrays"]
    room = min(shutil.disk_usage(directory).free, _available_bytes()) // 2
    contents = max(1, min(count, room // size_bytes))
    base = random_weights(shapes, seed=0)
    write_weights(directory / _BASE, base)
    for number in range(contents):
        change = random_weights(shapes, seed=1 + number)
        update = {name: base[name] + np.float32(0.1) * change[name] for name in base}
        write_weights(directory / f"update{number}", update)
    return [directory / f"update{number % contents}" for number in range(count)]


def _available_bytes() -> int:
    """How much of memory the page cache may have."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    run = begin("robust_speed", __doc__ or "")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # gunicorn.conf.py does the same
    count, size, times = (20, 2_000_000, 1) if run.quick else (100, 50_000_000, 5)
    robust = [name for name, strategy in STRATEGIES.items() if strategy.kind == "robust"]
    result: dict[str, Any] = {"updates": count, "update_bytes": size, "threads": THREADS}
    with tempfile.TemporaryDirectory() as directory:
        files = write_updates(Path(directory), count, size)
        result["contents"] = len(set(files))
        result["load_before"] = os.getloadavg()
        told = {
            name: in_a_process(Path(directory), files, name, times) for name in [_ALSO, *robust]
        }
        result["load_after"] = os.getloadavg()
    claims = []
    for name, way in told.items():
        for kind in ("seconds", "processor_seconds"):
            way[f"median_{kind}"] = {
                each: statistics.median(samples) for each, samples in way[kind].items()
            }
        print(name, {each: round(way["median_seconds"][each], 2) for each in way["seconds"]})
        if name in robust:
            for against, ours, theirs in _COMPARED:
                claims.append(
                    Claim(
                        what=f"{count} updates of {size / 1e6:g} MB, {STRATEGIES[name].title}",
                        against=against,
                        ours=way["median_seconds"][ours],
                        theirs=way["median_seconds"][theirs],
                        unit="s",
                        goal=1 / _MOST_READINGS,
                    )
                )
    most = max(told[name]["megabytes"] for name in robust)
    what = f"the most that a robust strategy adds to memory, {count} updates of {size / 1e6:g} MB"
    claims.append(Claim(what, "", most, None, "MB", _MOST_MEGABYTES, limit="at most"))
    run.save(result | {"strategies": told}, claims)


if __name__ == "__main__":
    main()
