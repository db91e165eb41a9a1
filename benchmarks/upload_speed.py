"""How fast an update is received, checked and durable, beside copying the same file.

A real Gunicorn, real HTTP on the loopback interface, one update at a time, each of other
content, so that each counts anew. Durable means fsynced, file and row, before the answer.
The reference is the plainest there is: read the file, write it, fsync it.

    python -m benchmarks.upload_speed
"""

import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.report import Claim, begin
from benchmarks.sending_devices import (
    UPDATE_BYTES,
    SendingDevice,
    Shapes,
    main_server,
    random_weights,
    shapes_of,
)

_GOAL = 0.4
_BLOCK_BYTES = 1024 * 1024
#: Both of the server's processes have received something before it counts.
_UNCOUNTED = 4


def copy(source: Path, target: Path) -> None:
    """Copy a file so that it stays after a power cut."""
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(_BLOCK_BYTES):
            writer.write(block)
        writer.flush()
        os.fsync(writer.fileno())


@dataclass
class Samples:
    """Seconds of each upload and of the copy beside it."""

    uploads: list[float] = field(default_factory=list)
    copies: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """All samples, with their 10th, 50th and 90th percentile."""
        told: dict[str, object] = {}
        for name, samples in (("upload", self.uploads), ("copy", self.copies)):
            told[f"{name}_seconds"] = samples
            told[f"{name}_p10_p50_p90"] = np.percentile(samples, [10, 50, 90]).tolist()
        return told


def measure(directory: Path, shapes: Shapes, times: int) -> Samples:
    """Upload and copy by turns, and check that what the server keeps is what was sent."""
    measured = Samples()
    with main_server(directory) as server:
        device = SendingDevice(server, "device1")
        device.enrol()
        weights = random_weights(shapes, seed=0)
        device.offer(weights, directory)
        first = weights[min(weights)].reshape(-1)
        update, target = directory / "update", directory / "copy"
        for number in range(-_UNCOUNTED, times):
            first[0] = number
            device.write_update(update, weights, num_samples=10)
            began = time.perf_counter()
            copy(update, target)
            copied = time.perf_counter()
            told = device.send(update)
            ended = time.perf_counter()
            assert told["bytes"] == update.stat().st_size
            target.unlink()
            if number >= 0:
                measured.copies.append(copied - began)
                measured.uploads.append(ended - copied)
        kept = [file for file in (server.state / "updates").rglob("*") if file.is_file()]
        newest = max(kept, key=lambda file: file.stat().st_mtime_ns)
        assert newest.read_bytes() == update.read_bytes()
    return measured


def main() -> None:
    run = begin("upload_speed", __doc__ or "")
    size, times = (8_000_000, 5) if run.quick else (UPDATE_BYTES, 21)
    result: dict[str, object] = {"update_bytes": size}
    claims = []
    for name, shapes in shapes_of(size).items():
        print(f"{times} uploads and copies of {size / 1e6:g} MB, {name}")
        with tempfile.TemporaryDirectory() as directory:
            measured = measure(Path(directory), shapes, times)
        result[name] = measured.as_json()
        claims.append(
            Claim(
                what=f"receiving an update of {size / 1e6:g} MB, {name}",
                against="copying the file, with fsync",
                ours=size / 1e6 / statistics.median(measured.uploads),
                theirs=size / 1e6 / statistics.median(measured.copies),
                unit="MB/s",
                goal=_GOAL,
                better="more",
            )
        )
    run.save(result, claims)


if __name__ == "__main__":
    main()
