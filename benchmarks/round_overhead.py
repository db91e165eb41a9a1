"""What a round costs beside its training: two devices whose training adds one number.

Real servers on this machine: a main server with two workers and two devices, 6.3 MB of
weights. Flower does the same work: a SuperLink, two SuperNodes, its own FedAvg, without TLS
and with its shortest look for tasks. Of both, rounds are counted, not the start. Run it from
the repository's root; Flower is left out where it is not installed (make compared), and by
--quick:

    python -m benchmarks.round_overhead
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.flower.federation import HOW_TO_INSTALL, Node, flower, installed, version
from benchmarks.idle_device import ADDED, ADDED_BY_A_ROUND, SAMPLES, initial_weights
from benchmarks.idle_device.federation import IdleFederation, idle_federation
from benchmarks.report import Claim, begin
from shared.federated.weights import read_weights

#: 6.3 MB of float32.
NUMBERS, ARRAYS = 1_575_000, 16
STEPS = ("modeltrain", "sendmodel", "aggregate_models", "send_model_clients")
#: Flower's own FedAvg looks for replies every 3 s; the other way is ours, by its public calls.
PULLS = {"stock": 0.0, "impatient": 0.05}
_TOLERANCE = 1e-3

Samples = dict[str, list[float]]


def measure_fedbell(directory: Path, rounds: int) -> tuple[Samples, float]:
    """Seconds of rounds, step by step (each step's too) and at once; seconds of the start."""
    samples: Samples = {name: [] for name in (*STEPS, "four_calls", "run_rounds")}
    directory.mkdir()
    started = time.perf_counter()
    with idle_federation(directory, NUMBERS, ARRAYS) as federation:
        start = time.perf_counter() - started
        for _ in range(rounds):
            steps = [_seconds_of(federation, step) for step in STEPS]
            for name, seconds in zip((*STEPS, "four_calls"), (*steps, sum(steps)), strict=True):
                samples[name].append(seconds)
        check(federation, directory, rounds)
        for _ in range(rounds):
            samples["run_rounds"].append(_seconds_of(federation, "run_rounds"))
        check(federation, directory, 2 * rounds)
        started = time.perf_counter()
        told = federation.main.do("/run_rounds", {"rounds": rounds})["rounds"]
        samples["one_of_many"] = [(time.perf_counter() - started) / rounds]
        assert not any(each["errors"] for each in told), told
        check(federation, directory, 3 * rounds)
    return samples, start


def _seconds_of(federation: IdleFederation, step: str) -> float:
    started = time.perf_counter()
    federation.main.do(f"/{step}")
    return time.perf_counter() - started


def check(federation: IdleFederation, directory: Path, newest: int) -> None:
    """Whether so many versions were made, the newest is the mean, and every device has it."""
    assert sorted(federation.versions()) == list(range(newest + 1))
    content = federation.main.http.get("/models/latest").content
    file = directory / "latest"
    file.write_bytes(content)
    weights = read_weights(file)
    for name, array in initial_weights(NUMBERS, ARRAYS).items():
        assert np.array_equal(weights[name], array + np.float32(newest * ADDED_BY_A_ROUND)), name
    federation.wait_for(newest)
    for device in federation.devices:
        assert federation.model_file(device).read_bytes() == content, device


def measure_flower(directory: Path, rounds: int) -> dict[str, Any]:
    """By how replies are looked for: seconds of rounds, and of the run without its rounds."""
    directory.mkdir()
    measured: dict[str, Any] = {"version": version()}
    nodes = [Node(ADDED[device], SAMPLES[device]) for device in ADDED]
    with flower(directory, nodes) as federation:
        for name, pull_seconds in PULLS.items():
            work = {"rounds": rounds, "numbers": NUMBERS, "arrays": ARRAYS}
            told = federation.run(work | {"pull-seconds": pull_seconds})
            due = rounds * ADDED_BY_A_ROUND
            assert all(abs(added - due) < _TOLERANCE for added in told["added"]), told
            assert told["evaluated_rounds"] == rounds, told
            measured[name] = {
                "seconds": told["seconds"],
                "start_seconds": told["total_seconds"] - sum(told["seconds"]),
            }
            print(f"Flower, {name}: {statistics.median(told['seconds']):.2f} s a round", flush=True)
    return measured


def _quantiles(samples: list[float]) -> dict[str, Any]:
    p10, p50, p90 = np.quantile(samples, [0.1, 0.5, 0.9]).round(4).tolist()
    return {"p10": p10, "p50": p50, "p90": p90, "samples": [round(each, 4) for each in samples]}


def main() -> None:
    """Measure and write round_overhead.json: Fedbell, Flower, Fedbell again."""
    run = begin("round_overhead", __doc__ or "")
    rounds, flower_rounds = (3, 0) if run.quick else (20, 4)
    compare = bool(flower_rounds) and installed()
    if not compare:
        print("--quick leaves Flower out." if run.quick else HOW_TO_INSTALL)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        ours, start = measure_fedbell(directory / "first", rounds)
        print(f"Fedbell: {statistics.median(ours['four_calls']):.3f} s a round", flush=True)
        theirs: dict[str, Any] = {}
        if compare:
            theirs = measure_flower(directory / "flower", flower_rounds)
            again, _ = measure_fedbell(directory / "second", rounds)
            ours = {name: samples + again[name] for name, samples in ours.items()}
    run.save(
        {
            "megabytes": NUMBERS * 4 / 1e6,
            "devices": len(ADDED),
            "fedbell": {"start_seconds": round(start, 2)}
            | {name: _quantiles(samples) for name, samples in ours.items()},
            "flower": theirs,
        },
        claims(ours, theirs),
    )


def claims(ours: Samples, theirs: dict[str, Any]) -> list[Claim]:
    """Rows of the table of goals."""
    what = "a round of 2 devices, 6.3 MB, whose training does nothing"
    calls = statistics.median(ours["four_calls"])
    at_once = statistics.median(ours["run_rounds"])
    rows = [
        Claim(f"{what}: median", "", calls, None, "s", 0.3, limit="at most"),
        Claim(f"{what}, by run_rounds: median", "", at_once, None, "s", 0.3, limit="at most"),
    ]
    for name in [name for name in PULLS if name in theirs]:
        flower_seconds = statistics.median(theirs[name]["seconds"])
        against = f"Flower {theirs['version']}" + (
            f", looking for replies every {PULLS[name]} s" if PULLS[name] else ""
        )
        rows.append(Claim(what, against, calls, flower_seconds, "s", 15))
    return rows


if __name__ == "__main__":
    main()
