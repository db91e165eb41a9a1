"""How soon the servers answer after they were started, and what they hold in memory.

The main server with its two workers, from the start of its process to the first 200 of
GET /readyz; then the memory of each worker after pages, lists and updates of 6 MB. A device,
from the start of its process to the first answer of GET /status, while its trainer loads
TensorFlow on the same two processors.

What was read from the disk once is still in memory, and .pyc files are there, as after an
installation; one start of each is measured without any .pyc file as well. Beside them: what it
takes to load TensorFlow and Keras as Fedbell does, and as ``import tensorflow, keras`` does.
"""

import http.client
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.processes import memory
from benchmarks.report import Claim, begin
from shared.datasets.digits import write_digits
from shared.federated.update import UpdateHeader
from shared.federated.weights import Schema, read_weights, write_weights
from tests.server import Server, wait_until

STARTS, QUICK_STARTS = 7, 1
#: Of the update that is sent before memory is looked at: 6 MB.
PARAMETERS = 1_500_000
PAGES = 20
_LOOK_SECONDS = 0.005
_OK = 200
_LOAD = """
import resource
import {modules}
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)
"""


def first_answer(server: Server, path: str) -> float:
    """Start a server; seconds until it answers 200 to GET ``path``."""
    begun = time.perf_counter()
    server.start(wait=False)
    while _status(server.port, path) != _OK:
        assert time.perf_counter() - begun < 60, server.tail()
        time.sleep(_LOOK_SECONDS)
    return time.perf_counter() - begun


def _status(port: int, path: str) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": "localhost"})
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


@contextmanager
def fresh(application: str, **environment: str) -> Iterator[Server]:
    """A server that has never run, and its end."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(application, Path(folder), environment)
        try:
            yield server
        finally:
            server.stop()
            server.http.close()


def main_server_start(**environment: str) -> tuple[float, list[dict[str, float]]]:
    """Seconds to the first answer of a main server, and its workers' memory when in use."""
    with fresh("main_server.wsgi:app", WORKERS="2", **environment) as server:
        seconds = first_answer(server, "/readyz")
        wait_until(lambda: len(server.workers()) == 2)
        use(server)
        return seconds, [memory(worker) for worker in server.workers()]


def use(server: Server) -> None:
    """Send a first version and an update of 6 MB, have them combined, look at pages and lists."""
    weights = {"head/kernel": np.linspace(-1, 1, PARAMETERS, dtype=np.float32)}
    backbone = "0" * 64
    fingerprint = Schema.of(weights).fingerprint(backbone)
    offer = {"task": "digits", "backbone": backbone, "fingerprint": fingerprint}
    header = UpdateHeader(
        task="digits",
        device="device1",
        base_version=0,
        num_samples=3,
        metrics={"loss": 0.5},
        fingerprint=fingerprint,
    )
    token = {"Authorization": f"Bearer {secrets.token_hex(32)}"}
    status = {
        "device": "device1",
        "url": "http://127.0.0.1:9",
        "tasks": {"digits": {"num_samples": 3}},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "sent.safetensors")
        answer = server.post("/clientstatus", status, headers=token)
        assert answer.is_success, answer.text
        write_weights(file, weights, offer)
        answer = server.http.put("/models/0", content=file.read_bytes(), headers=token)
        assert answer.json()["taken"] is True
        write_weights(file, weights, header.as_metadata())
        for _ in range(4):  # sent again it counts once, and any worker may get it
            answer = server.post("/cmodel", content=file.read_bytes(), headers=token)
            assert answer.json()["num_samples"] == header.num_samples, answer.text
        assert server.do("/aggregate_models")["version"] == 1
        for _ in range(PAGES):
            assert "digits" in server.http.get("/").text
            assert server.get("/devices")["devices"]
            assert server.get("/rounds")["rounds"]
        file.write_bytes(server.http.get("/models/1").content)
        np.testing.assert_array_equal(
            read_weights(file)["head/kernel"], weights["head/kernel"], "one update is the average"
        )


def device_start(dataset: Path, **environment: str) -> tuple[float, float, dict[str, float]]:
    """A device without a main server.

    Returns:
        Seconds to its first status, seconds to its trainer's readiness, and the web side's
        memory then.
    """
    environment |= {"DATASET_DIRECTORY": str(dataset), "MAIN_SERVER_URL": "http://127.0.0.1:9"}
    with fresh("device1.wsgi:app", **environment) as server:
        begun = time.perf_counter()
        seconds = first_answer(server, "/status")
        assert server.status()["trainer"]["state"] == "starting", "nobody waited for the trainer"
        wait_until(lambda: server.status()["trainer"]["state"] == "ready")
        return seconds, time.perf_counter() - begun, memory(server.workers()[0])


def load(modules: str) -> tuple[float, float]:
    """Processor seconds, and MB of memory, of a process that loads these modules."""
    command = [sys.executable, "-c", _LOAD.format(modules=modules)]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=300)
    seconds, megabytes = told.stdout.split()
    return float(seconds), float(megabytes)


def summary(samples: list[float]) -> dict[str, Any]:
    """Median, tenth and ninetieth percentile, and the samples themselves."""
    low, high = np.percentile(samples, [10, 90])
    return {"median": median(samples), "p10": float(low), "p90": float(high), "samples": samples}


def measure(starts: int, quick: bool) -> dict[str, Any]:
    """All starts, those of the two kinds of server by turns.

    Args:
        quick: leave out the start that fills the page cache, and those without .pyc files.
    """
    main: list[float] = []
    device: list[float] = []
    trainer: list[float] = []
    workers: list[Mapping[str, float]] = []
    web: list[Mapping[str, float]] = []
    loads: dict[str, list[tuple[float, float]]] = {
        "shared.learning.loading": [],
        "tensorflow, keras": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        write_digits(Path(folder))
        dataset = Path(folder, "device1")
        for number in range(1 if quick else 0, starts + 1):
            seconds, held = main_server_start()
            status, ready, device_held = device_start(dataset)
            if number == 0:
                continue  # the first one reads from the disk, and writes .pyc files
            print(f"start {number}: main server {seconds:.2f} s, device {status:.2f} s", flush=True)
            main.append(seconds)
            workers += held
            device.append(status)
            trainer.append(ready)
            web.append(device_held)
            for modules, each in loads.items():
                each.append(load(modules))
        without = {} if quick else _without_pyc(dataset, Path(folder, "none"))
    return {
        "main_server_seconds": summary(main),
        "worker_rss_mb": summary([each["rss"] for each in workers]),
        "worker_pss_mb": summary([each["pss"] for each in workers]),
        "device_seconds": summary(device),
        "device_trainer_ready_seconds": summary(trainer),
        "device_web_rss_mb": summary([each["rss"] for each in web]),
        "device_web_pss_mb": summary([each["pss"] for each in web]),
        "loading": {
            modules: {
                "processor_seconds": summary([seconds for seconds, _ in each]),
                "rss_mb": summary([megabytes for _, megabytes in each]),
            }
            for modules, each in loads.items()
        },
        **without,
    }


def _without_pyc(dataset: Path, nothing: Path) -> dict[str, float]:
    """Seconds to the first answers when every module is compiled anew; one start each."""
    settings = {"PYTHONPYCACHEPREFIX": str(nothing), "PYTHONDONTWRITEBYTECODE": "1"}
    return {
        "main_server_seconds_without_pyc": main_server_start(**settings)[0],
        "device_seconds_without_pyc": device_start(dataset, **settings)[0],
    }


def use_two_processors() -> None:
    """The servers started from here have two, however many there are."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])


def _loading(result: Mapping[str, Any]) -> Claim:
    ours, theirs = (
        result[modules]["processor_seconds"]["median"]
        for modules in ("shared.learning.loading", "tensorflow, keras")
    )
    what = "loading TensorFlow and Keras, processor time"
    return Claim(what, "`import tensorflow, keras`", ours, theirs, "s", None)


def main() -> None:
    run = begin("startup", __doc__ or "")
    use_two_processors()
    result = measure(QUICK_STARTS if run.quick else STARTS, run.quick)
    worker = "resident memory of a main server's worker in use"
    run.save(
        {"processors": 2, **result},
        [
            Claim(
                "main server, start to /readyz",
                "",
                result["main_server_seconds"]["median"],
                None,
                "s",
                1.5,
                limit="at most",
            ),
            Claim(worker, "", result["worker_rss_mb"]["median"], None, "MB", 120, limit="at most"),
            Claim(
                "device, start to /status while TensorFlow loads",
                "",
                result["device_seconds"]["median"],
                None,
                "s",
                2,
                limit="at most",
            ),
            _loading(result["loading"]),
        ],
    )


if __name__ == "__main__":
    main()
