"""How a round's time and the main server's memory grow: with the devices, and with the model.

A real main server with two workers; thin devices that only talk (benchmarks/thin_devices.py),
over real HTTP. They share the two processors with the main server, so what they cost is part
of each time; their processor seconds stand beside the main server's.

First 2 to 128 devices with a model of 1.1 MB, then models of 1 to 200 MB with 4 devices.
Versions are checked to count up, and small ones to be the mean that numpy makes. The table
goes to growth.json, the figure to growth.svg.
"""

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np

from benchmarks.growth_figure import draw
from benchmarks.processes import MemorySampler, memory, processor_seconds
from benchmarks.report import Claim, begin
from benchmarks.thin_devices import TASKS, ThinDevices, average
from shared.federated.weights import read_weights
from tests.server import Server, wait_until

#: By call: what it is called here.
STEPS = {
    "modeltrain": "train",
    "sendmodel": "send",
    "aggregate_models": "aggregate",
    "send_model_clients": "distribute",
}
DEVICES, QUICK_DEVICES = (2, 4, 8, 16, 32, 64, 128), (2, 4)
MEGABYTES, QUICK_MEGABYTES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0), (1.0, 2.0)
#: Of the model that 2 to 128 devices have.
MODEL_MEGABYTES = 1.1
#: That have the models of 1 to 200 MB.
FEW_DEVICES = 4
_BYTES_OF_A_NUMBER = 4
_WORKERS = 2
#: Averages of larger models are not made again here.
_CHECKED_MEGABYTES = 20
_MOST_SECONDS = 600
_PAGES = 5


@dataclass(frozen=True)
class Grown:
    """One row of the table: medians of a few rounds, and the most memory of any.

    Attributes:
        seconds: by step; training is none, so it is what asking costs.
        enrolment_seconds, heartbeat_seconds: of one device, the others silent; the mean.
        page_seconds: of the control page, at the end.
        main_server_processor_seconds, devices_processor_seconds: of one round.
        bytes_received: of one round's updates.
        idle_mb, peak_mb: of both workers together, what belongs to no file.
        idle_rss_mb, peak_rss_mb: mapped files included; pages that both map count twice.
        idle_pss_mb: the same, where what is shared counts once.
        threads: the most of both workers.
    """

    devices: int
    model_mb: float
    rounds: int
    seconds: dict[str, float]
    samples: dict[str, list[float]]
    enrolment_seconds: float
    heartbeat_seconds: float
    page_seconds: float
    main_server_processor_seconds: float
    devices_processor_seconds: float
    bytes_received: int
    idle_mb: float
    idle_rss_mb: float
    idle_pss_mb: float
    peak_mb: float
    peak_by_step_mb: dict[str, float]
    peak_rss_mb: float
    threads: int


def measure(devices: int, megabytes: float, rounds: int) -> Grown:
    """Start a main server and ``devices`` thin devices, and run one round more than ``rounds``."""
    numbers = int(megabytes * 1e6) // _BYTES_OF_A_NUMBER
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        tasks = directory / "tasks.toml"
        tasks.write_text(TASKS)
        settings = {"TASKS_FILE": str(tasks), "WORKERS": str(_WORKERS)}
        server = Server("main_server.wsgi:app", directory, settings)
        try:
            server.start()
            wait_until(lambda: len(server.workers()) == _WORKERS)
            with ThinDevices(server.port, devices, numbers, directory) as thin:
                return _rounds(server, thin, devices, megabytes, rounds)
        finally:
            server.stop()
            server.http.close()


def _rounds(
    server: Server, thin: ThinDevices, devices: int, megabytes: float, rounds: int
) -> Grown:
    numbers = int(megabytes * 1e6) // _BYTES_OF_A_NUMBER
    idle = [memory(worker) for worker in server.workers()]
    samples: dict[str, list[float]] = {name: [] for name in STEPS.values()}
    peaks = dict.fromkeys(STEPS.values(), 0.0)
    peak_rss, threads = 0.0, 0
    used: list[tuple[float, float]] = []
    received = 0
    for number in range(1, rounds + 2):
        before = _processor_seconds(server, thin)
        for call, name in STEPS.items():
            with MemorySampler(server.workers) as held:
                begun = time.perf_counter()
                answer = _step(server, call)
                seconds = time.perf_counter() - begun
            _check(call, answer, devices, number)
            if call == "sendmodel":
                received = sum(told["bytes"] for told in answer["devices"].values())
            most = held.take()
            peaks[name] = max(peaks[name], most["anonymous"])
            peak_rss = max(peak_rss, most["rss"])
            threads = max(threads, int(most["threads"]))
            if number > 1:  # the first round warms up
                samples[name].append(seconds)
        after = _processor_seconds(server, thin)
        if number > 1:
            used.append((after[0] - before[0], after[1] - before[1]))
    if megabytes <= _CHECKED_MEGABYTES:
        _check_average(server, rounds + 1, devices, numbers)
    return Grown(
        devices,
        megabytes,
        rounds,
        {name: median(each) for name, each in samples.items()},
        samples,
        thin.enrolment_seconds,
        thin.heartbeat_seconds,
        median(_page_seconds(server) for _ in range(_PAGES)),
        median(main for main, _ in used),
        median(thin for _, thin in used),
        received,
        sum(each["anonymous"] for each in idle),
        sum(each["rss"] for each in idle),
        sum(each["pss"] for each in idle),
        max(peaks.values()),
        peaks,
        peak_rss,
        threads,
    )


def _step(server: Server, call: str) -> Any:
    answer = httpx.post(f"{server.url}/{call}", timeout=_MOST_SECONDS, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json()


def _page_seconds(server: Server) -> float:
    begun = time.perf_counter()
    page = server.http.get("/")
    seconds = time.perf_counter() - begun
    assert "device000" in page.text
    return seconds


def _check(call: str, answer: Any, devices: int, number: int) -> None:
    """Every device answered well, and versions count up."""
    told = answer.get("devices", {})
    errors = [each["error"]["detail"] for each in told.values() if "error" in each]
    assert not errors, errors
    if call == "aggregate_models":
        assert (answer["version"], answer["updates"]) == (number, devices)
    else:
        assert len(told) == devices


def _check_average(server: Server, version: int, devices: int, numbers: int) -> None:
    """The newest version is the weighted mean."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "version.safetensors")
        file.write_bytes(server.http.get(f"/models/{version}").content)
        found = read_weights(file)
    for name, expected in average(devices, numbers).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-6, atol=1e-7, err_msg=name)


def _processor_seconds(server: Server, thin: ThinDevices) -> tuple[float, float]:
    return sum(processor_seconds(each) for each in server.workers()), processor_seconds(thin.pid)


def _tell(row: Grown) -> None:
    steps = ", ".join(f"{name} {seconds:.3f}" for name, seconds in row.seconds.items())
    print(
        f"{row.devices:4} devices x {row.model_mb:5g} MB: {steps} s; main server "
        f"{row.main_server_processor_seconds:.2f} s, devices {row.devices_processor_seconds:.2f} s "
        f"of processor; memory {row.idle_mb:.0f} to {row.peak_mb:.0f} MB (RSS "
        f"{row.peak_rss_mb:.0f}), {row.threads} threads",
        flush=True,
    )


def limit(row: Grown) -> dict[str, float]:
    """What the sending of most devices runs into: processors that are busy, or else waiting.

    Each update is on the disk before it is acknowledged, one after the other.
    """
    used = row.main_server_processor_seconds + row.devices_processor_seconds
    return {
        "devices": row.devices,
        "updates_per_second": row.devices / row.seconds["send"],
        "processors_busy": used / sum(row.seconds.values()),
    }


def claims(most: Grown, largest: Grown) -> list[Claim]:
    """The ends of both tables; there is no goal to reach."""
    told = []
    for row in (most, largest):
        who = f"{row.devices} devices, model of {row.model_mb:g} MB"
        seconds = sum(row.seconds.values())
        told.append(Claim(f"round of {who}", "", seconds, None, "s", None))
        told.append(Claim(f"main server's memory, {who}", "", row.peak_mb, None, "MB", None))
    return told


def main() -> None:
    run = begin("growth", __doc__ or "")
    by_devices, by_size = [], []
    for devices in QUICK_DEVICES if run.quick else DEVICES:
        by_devices.append(measure(devices, MODEL_MEGABYTES, 1 if run.quick else 3))
        _tell(by_devices[-1])
    for megabytes in QUICK_MEGABYTES if run.quick else MEGABYTES:
        by_size.append(measure(FEW_DEVICES, megabytes, 1 if run.quick else 3))
        _tell(by_size[-1])
    rows = {
        "by_devices": [asdict(row) for row in by_devices],
        "by_model_size": [asdict(row) for row in by_size],
    }
    run.save(
        {
            "workers": _WORKERS,
            "devices_run": "on the main server's processors",
            "limit": limit(by_devices[-1]),
            **rows,
        },
        claims(by_devices[-1], by_size[-1]),
    )
    figure = run.results / "growth.svg"
    figure.write_bytes(draw(rows["by_devices"], rows["by_model_size"]))
    print(figure)


if __name__ == "__main__":
    main()
