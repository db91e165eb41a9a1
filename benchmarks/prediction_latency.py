"""How long a device takes to say what a picture shows, while it rests and while it trains.

A real main server and one device, asked by POST /predict with a photo-sized JPEG: from the
call to the answer. The device then trains the same task for as long as is measured, with all
processors it has, and is asked again; so each kind of network is asked beside its own training.
Run it from the repository's root:

    python -m benchmarks.prediction_latency
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.report import Claim, begin
from tests.federation import Federation
from tests.server import Server, wait_until

CALLS, QUICK_CALLS = 200, 5
#: Pictures of each class to train on.
PICTURES = 100
#: What people drop on the page: wide, high.
PHOTO = (1600, 1200)
#: By name of the task: its network.
TASKS = {
    "head": "image_size = 96",
    "all": 'image_size = 96\ntrainable = "all"',
    "catdog_cnn": 'architecture = "catdog_cnn"',
}
WHAT = {
    "head": "MobileNet 0.25, 96 pixels, its classifier trained",
    "all": "MobileNet 0.25, 96 pixels, trained whole",
    "catdog_cnn": "the ten-layer CNN, 100 pixels",
}
_GOAL_SECONDS = 0.5


def photo() -> bytes:
    """A smooth JPEG, as large as photos are."""
    coarse = np.random.default_rng(1).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    encoded = cv2.imencode(".jpg", cv2.resize(coarse, PHOTO, interpolation=cv2.INTER_CUBIC))[1]
    return encoded.tobytes()


def ask(device: Server, task: str, picture: bytes, calls: int) -> list[dict[str, float]]:
    """Seconds of each call: in all, and the parts that the device tells."""
    told = []
    for _ in range(calls):
        started = time.perf_counter()
        answer = device.post(f"/predict?task={task}", files={"picture": ("a.jpg", picture)})
        seconds = time.perf_counter() - started
        assert answer.is_success, answer.text
        told.append({"call": seconds} | answer.json()["seconds"])
    return told


def measure(device: Server, task: str, picture: bytes, calls: int) -> dict[str, Any]:
    """The first call, which builds the network, then calls at rest and beside a training."""
    first = ask(device, task, picture, 1)[0]["call"]
    idle = ask(device, task, picture, calls)
    job = device.begin(f"/modeltrain?task={task}", {"epochs": 1000, "batch_size": 1})
    wait_until(lambda: (device.get(job)["progress"] or {}).get("epoch"))
    training = ask(device, task, picture, calls)
    assert device.get(job)["status"] == "running", "the training was too short"
    device.post(f"{job}/cancel")
    assert device.ended(job)["status"] == "cancelled"
    return {"first": round(first, 3), "idle": _quantiles(idle), "training": _quantiles(training)}


def _quantiles(told: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Of the whole call and of its parts, in seconds."""
    quantiles = {}
    for part in told[0]:
        p50, p95 = np.quantile([call[part] for call in told], [0.5, 0.95]).round(4).tolist()
        quantiles[part] = {"p50": p50, "p95": p95}
    return quantiles


def main() -> None:
    """Measure and write prediction_latency.json."""
    run = begin("prediction_latency", __doc__ or "")
    calls = QUICK_CALLS if run.quick else CALLS
    tasks = "".join(
        f'[tasks.{name}]\nclasses = ["dark", "light"]\n{lines}\n' for name, lines in TASKS.items()
    )
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        federation = Federation(Path(folder), tasks, devices=["device1"])
        for name in TASKS:
            federation.write_pictures(name, PICTURES)
        try:
            for server in federation.servers:
                server.start()
            device, picture = federation.devices["device1"], photo()
            for name in TASKS:
                federation.caught_up("device1", name)
            for name in TASKS:
                results[name] = measure(device, name, picture, calls)
                rest, busy = (results[name][when]["call"]["p50"] for when in ("idle", "training"))
                print(f"{WHAT[name]}: {rest:.3f} s, beside a training {busy:.3f} s", flush=True)
        finally:
            federation.close()
    run.save({"calls": calls, "picture_bytes": len(picture), "tasks": results}, claims(results))


def claims(results: dict[str, Any]) -> list[Claim]:
    """Rows of the table of goals."""
    return [
        Claim(
            f"an answer for a photo, {where}: 95th percentile",
            "",
            results[name][when]["call"]["p95"],
            None,
            "s",
            _GOAL_SECONDS,
            limit="at most",
        )
        for name in TASKS
        for when, where in (
            ("idle", f"{WHAT[name]}, at rest"),
            ("training", f"{WHAT[name]}, beside its training"),
        )
    ]


if __name__ == "__main__":
    main()
