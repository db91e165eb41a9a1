"""Accuracy against time, with clients that come by themselves and one that is ten times slower.

Eight real clients (``fedbell client``), each with an eighth of MNIST, train the 200-200-10
perceptron for a real main server, once by each way to combine what they push: synchronous rounds
that wait for everybody, that end at a deadline, or when half of them have sent or then, the running
average, FedAsync and FedBuff; then some of them again through a network with a longer way and
connections that break. All are processes of one machine and share its processors. Who has loaded
TensorFlow is stopped until all have; then time begins, and from then on the slow client is stopped
nine tenths of the time. Accuracy is that of the version that is the newest at a moment, on the
10,000 test pictures.
"""

# ruff: noqa: N999 - nobody imports it

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.async_figure import draw
from benchmarks.report import TEST_DATA, begin
from benchmarks.slow_network import SlowNetwork
from main_server.settings import read_tasks
from shared.datasets.chunks import open_chunks
from shared.federated.task import Task
from shared.federated.weights import read_weights
from shared.learning.direct import evaluate_on
from shared.learning.network import build_network
from tests.server import ROOT, Server, wait_until

CLIENTS, QUICK_CLIENTS = 8, 2
SECONDS, QUICK_SECONDS = 40.0, 6.0
TRAINING_PICTURES = 60_000
_STEP_SECONDS = 1.0
#: The slow client works for the first of these seconds, and then is stopped for the second.
_WORKS, _STOPS = 0.05, 0.45
_START_SECONDS = 300.0

_TASK = """
[tasks.mnist]
classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
architecture = "mnist_mlp"
seed = 7
{keys}
[tasks.mnist.training]
epochs = 1
batch_size = 50
[tasks.mnist.keep]
last = 1000000
"""


@dataclass(frozen=True)
class Way:
    """One way to combine updates, over one network.

    Attributes:
        rule: how they are combined.
        keys: what the task says besides.
        round_trip_seconds, resets: of the network, see SlowNetwork.
    """

    rule: str
    keys: str
    round_trip_seconds: float = 0.0
    resets: float = 0.0

    @property
    def name(self) -> str:
        """What it is called in tables."""
        trip = self.round_trip_seconds
        return f"{self.rule}, {1000 * trip:.0f} ms" if trip else self.rule


def ways(clients: int) -> list[Way]:
    """All that is measured."""
    everybody = f"auto_aggregate = true\nmin_updates = {clients}"
    some = f"auto_aggregate = true\nmin_updates = {max(1, clients // 2)}"
    deadline = "[tasks.mnist.rounds]\ndeadline_seconds = 3\nrest_after = 1000"
    some_or_deadline = f"{some}\n{deadline}"
    # What is fast makes hundreds of versions while the slow one trains once.
    asynchronous = 'mode = "async"\n[tasks.mnist.asynchronous]\nmost_staleness = 2000\nrule = "{}"'
    fedasync = asynchronous.format("fedasync")
    fedbuff = asynchronous.format("fedbuff") + f"\nbuffer_size = {max(2, clients // 2)}"
    here = [
        Way("synchronous", everybody),
        Way("synchronous, deadline of 3 s", deadline),
        Way("synchronous, half of them or 3 s", some_or_deadline),
        Way("running average", asynchronous.format("running_average")),
        Way("FedAsync", fedasync),
        Way("FedBuff", fedbuff),
    ]
    far = [
        Way(rule, keys, trip, 0.01)
        for trip in (0.05, 0.2)
        for rule, keys in (
            ("synchronous", everybody),
            ("synchronous, half of them or 3 s", some_or_deadline),
            ("FedAsync", fedasync),
            ("FedBuff", fedbuff),
        )
    ]
    return here + far


def main() -> None:
    run = begin("async", __doc__)
    data = TEST_DATA / "mnist"
    if not data.is_dir():
        print(
            f"Left out: MNIST's four files are not in {data}. FEDBELL_TEST_DATA names the folder."
        )
        return
    clients = QUICK_CLIENTS if run.quick else CLIENTS
    seconds = QUICK_SECONDS if run.quick else SECONDS
    chosen = ways(clients)
    if run.quick:
        chosen = [chosen[-1]]
    results = []
    for way in chosen:
        results.append(_measure(way, clients, seconds, data))
        told = results[-1]
        last = told["accuracy"][-1]
        print(f"{way.name}: {told['updates']} updates, {told['versions']} versions, {last:.1%}")
    run.save({"clients": clients, "slow_clients": 1, "seconds": seconds, "ways": results})
    (run.results / "async.svg").write_bytes(draw(results))


def _measure(way: Way, clients: int, seconds: float, data: Path) -> dict[str, Any]:
    """One run: what it made, and how good that was second by second."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        directory = Path(folder)
        tasks = directory / "tasks.toml"
        tasks.write_text(_TASK.format(keys=way.keys))
        settings = {"TASKS_FILE": str(tasks), "HEARTBEAT_SECONDS": "1", "THREADS": "32"}
        server = Server("main_server.wsgi:app", directory / "main_server", settings)
        server.start()
        stack.callback(server.stop)
        store = server.state / "main_server.db"
        network = SlowNetwork(server.port, way.round_trip_seconds, way.resets)
        stack.enter_context(network)
        with _clients(network.port, clients, data, directory) as processes:
            _wait_until_loaded(store, processes)
            began = time.time()
            with _slow(processes[f"client{clients}"]):
                time.sleep(seconds)
        made = _ask(store, "SELECT version, created, sha256 FROM versions ORDER BY version")
        received = _ask(store, "SELECT device, received FROM updates")
        models = server.state / "models" / "mnist"
        files = [
            (when - began, models / f"{number}-{sha256[:16]}.safetensors")
            for number, when, sha256 in made
        ]
        accuracy = _accuracies(read_tasks(tasks)["mnist"], files, data, seconds)
    senders = [device for device, when in received if 0 < when - began <= seconds]
    return {
        "name": way.name,
        "rule": way.rule,
        "round_trip_seconds": way.round_trip_seconds,
        "share_of_resets": way.resets,
        "connections": network.connections,
        "connections_reset": network.broken,
        "updates": len(senders),
        "updates_of_the_slow_one": senders.count(f"client{clients}"),
        "versions": sum(0 < when <= seconds for when, _ in files),
        "seconds": [step * _STEP_SECONDS for step in range(len(accuracy))],
        "accuracy": accuracy,
    }


@contextmanager
def _clients(
    port: int, number: int, data: Path, directory: Path
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """So many clients run meanwhile; by name."""
    processes = {
        f"client{index}": _client(index, port, number, data, directory)
        for index in range(1, number + 1)
    }
    try:
        yield processes
    finally:
        for process in processes.values():
            process.kill()
        ends = [process.wait() for process in processes.values()]
    if any(end != -signal.SIGKILL for end in ends):
        logs = "\n".join(file.read_text()[-500:] for file in sorted(directory.glob("*.log")))
        raise RuntimeError(f"A client ended by itself.\n{logs}")


def _client(
    index: int, port: int, number: int, data: Path, directory: Path
) -> subprocess.Popen[bytes]:
    name = f"client{index}"
    words = {
        "--id": name,
        "--server": f"http://127.0.0.1:{port}",
        "--task": "mnist",
        "--data": str(data.absolute()),
        "--chunk-size": str(TRAINING_PICTURES // number),
        "--state": str(directory / name),
        "--max-wait-seconds": "2",
    }
    given = [word for pair in words.items() for word in pair]
    shards = ["--shards", str(index), str(index)]
    with (directory / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "shared.command_line", "client", *given, *shards],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _wait_until_loaded(store: Path, processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Wait until every client has told how much it trains on; who has waits for the others."""
    waiting: set[str] = set()

    def all_wait() -> bool:
        told = _ask(store, "SELECT device FROM device_tasks WHERE num_samples > 0")
        for (name,) in told:
            if name not in waiting:
                os.kill(processes[name].pid, signal.SIGSTOP)
                waiting.add(name)
        return waiting == processes.keys()

    wait_until(all_wait, _START_SECONDS)
    for process in processes.values():
        os.kill(process.pid, signal.SIGCONT)


@contextmanager
def _slow(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A process works a tenth of the time meanwhile."""
    over = threading.Event()
    slowing = threading.Thread(target=_slow_down, args=(process, over))
    slowing.start()
    try:
        yield
    finally:
        over.set()
        slowing.join()


def _slow_down(process: subprocess.Popen[bytes], over: threading.Event) -> None:
    """Let a process work for a tenth of the time, until ``over`` is set."""
    while not over.wait(_WORKS):
        os.kill(process.pid, signal.SIGSTOP)
        over.wait(_STOPS)
        os.kill(process.pid, signal.SIGCONT)


def _ask(store: Path, query: str) -> list[tuple[Any, ...]]:
    """What the main server has noted."""
    with closing(sqlite3.connect(store, timeout=30)) as connection:
        return connection.execute(query).fetchall()


def _accuracies(
    task: Task, files: Sequence[tuple[float, Path]], data: Path, seconds: float
) -> list[float]:
    """How good the newest version was, at each step of the time.

    Args:
        files: of the versions, in order, and when each was made, in seconds.
    """
    network = build_network(task, Path("backbones"))
    test = open_chunks(data, task.classes, task.image_size, task.channels).test()
    known: dict[Path, float] = {}
    told = []
    for step in range(int(seconds / _STEP_SECONDS) + 1):
        # Version 0 is as old as the clients' first look at it, which may be the beginning.
        made = [file for when, file in files if when <= step * _STEP_SECONDS]
        newest = made[-1] if made else files[0][1]
        if newest not in known:
            network.load(read_weights(newest))
            known[newest] = round(evaluate_on(network, test).accuracy, 4)
        told.append(known[newest])
    return told


if __name__ == "__main__":
    main()
