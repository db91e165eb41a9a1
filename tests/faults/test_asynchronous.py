"""kill -9 before and after each write of an update that is applied as it arrives.

Thin clients push the same bodies in the same order to a server that is killed again and again and
to one that nobody kills: their versions are equal, byte for byte, and so is what is recorded.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from shared.federated.update import UpdateHeader
from shared.federated.weights import Schema, open_weights
from tests.faults.kill_points import Trap, walk
from tests.main_server.many_clients import Client, first_weights
from tests.server import Server

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

TASKS = """
[tasks.fedasync]
classes = ["0", "1"]
mode = "async"
asynchronous = {rule = "fedasync", most_staleness = 4}
keep = {last = 2}

[tasks.fedbuff]
classes = ["0", "1"]
mode = "async"
asynchronous = {rule = "fedbuff", buffer_size = 3, most_staleness = 4}
"""
DEVICES = ("device1", "device2")


class Pair:
    """A server that is killed, and one like it that is not."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        (directory / "tasks.toml").write_text(TASKS)
        self.killed, self.undisturbed = self._server("killed"), self._server("undisturbed")
        self.trap = Trap(self.killed, directory / "trap")
        self.sent = dict.fromkeys(("fedasync", "fedbuff"), 0)

    def _server(self, name: str) -> Server:
        (self.directory / name).mkdir()
        environment = {"TASKS_FILE": str(self.directory / "tasks.toml"), "WORKERS": "1"}
        return Server("main_server.wsgi:app", self.directory / name, environment)

    def start(self) -> None:
        """Both, from one state: devices are enrolled, tasks have their version 0."""
        self.undisturbed.start()
        for task in self.sent:
            for name in DEVICES:
                client = Client(self.undisturbed, name, task)
                client.join()
                client.close()
        self.undisturbed.stop()
        shutil.copytree(self.undisturbed.state, self.killed.state)
        self.undisturbed.start()
        self.killed.start()

    def stop(self) -> None:
        for server in (self.killed, self.undisturbed):
            server.http.close()
            server.stop()

    def body(self, task: str) -> tuple[str, bytes]:
        """The next update of a task, and whose it is; it starts one version too early."""
        self.sent[task] += 1
        number = self.sent[task]
        device = DEVICES[number % 2]
        newest = len(versions(self.undisturbed, task)) - 1
        weights = {
            name: (array * np.float32(1 / number)).astype(np.float32)
            for name, array in first_weights().items()
        }
        header = UpdateHeader(
            task=task,
            device=device,
            base_version=max(0, newest - 1),
            num_samples=number,
            metrics={"loss": 1.0},
            sequence=number,
            fingerprint=Schema.of(weights).fingerprint(fingerprint_of(self.undisturbed, task)),
        )
        return device, save(weights, header.as_metadata())


def push(server: Server, task: str, device: str, body: bytes) -> httpx.Response:
    headers = {"Authorization": f"Bearer {f'token-of-{device}'.ljust(40, '-')}"}
    return server.http.post(f"/cmodel?task={task}", content=body, headers=headers)


def rows(server: Server, query: str, *values: Any) -> list[Any]:
    connection = sqlite3.connect(server.state / "main_server.db")
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


def fingerprint_of(server: Server, task: str) -> str:
    """The backbone's, which the fingerprint of an update holds."""
    ((told,),) = rows(server, "SELECT backbone FROM versions WHERE task = ? AND version = 0", task)
    return str(told)


def versions(server: Server, task: str) -> list[Any]:
    """All versions of a task: what they are, and whether their file is there."""
    return rows(
        server,
        "SELECT version, sha256, state, pruned IS NULL FROM versions WHERE task = ? ORDER BY 1",
        task,
    )


def updates(server: Server, task: str) -> list[Any]:
    """What is recorded of a task's updates, in their order."""
    return rows(
        server,
        "SELECT r.number, r.status, r.version, u.number, u.device, u.sha256, u.base_version,"
        " u.weight, u.norm FROM updates u JOIN rounds r ON r.id = u.round_id WHERE r.task = ?"
        " ORDER BY r.number, u.number",
        task,
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = Pair(tmp_path_factory.mktemp("pair"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize(("task", "chosen"), [("fedasync", 5), ("fedbuff", 6)])
def test_killed_while_an_update_is_applied(pair: Pair, task: str, chosen: int) -> None:
    for point in walk(f"cmodel {task}", chosen):
        # As many as a buffer takes: each of its places, and the update that closes it.
        for turn in range(3 if task == "fedbuff" else 1):
            device, body = pair.body(task)
            told = push(pair.undisturbed, task, device, body).json()
            if turn == point.number % 3 or task == "fedasync":
                call = partial(push, pair.killed, task, device, body)
                answer = pair.trap.spring(point, call, ())
                if point.reached:
                    pair.killed.start()
                else:
                    assert answer is not None
            # Acknowledged or not, the device sends it again: it counts once.
            again = push(pair.killed, task, device, body)
            assert (again.status_code, again.json()) == (200, told), point.story()
        assert updates(pair.killed, task) == updates(pair.undisturbed, task), point.story()
        assert versions(pair.killed, task) == versions(pair.undisturbed, task), point.story()
        check_files(pair, task)


def check_files(pair: Pair, task: str) -> None:
    """Whether the file of every version that is kept is there and whole, and others are gone."""
    folder = pair.killed.state / "models" / task
    kept = {
        f"{number}-{sha256[:16]}.safetensors"
        for number, sha256, _, is_kept in versions(pair.killed, task)
        if is_kept
    }
    assert {file.name for file in folder.iterdir() if not file.name.startswith(".")} == kept
    for name in kept:
        with open_weights(folder / name) as weights:
            weights.check_finite()
