"""kill -9 before and after each write of an update that is applied as it arrives, or comes late.

Thin clients push the same bodies in the same order to a server that is killed again and again and
to one that nobody kills: their versions are equal, byte for byte, and so is what is recorded. The
one that is killed keeps its rows in SQLite or PostgreSQL, or is one of two behind one address.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import Executable, select

from main_server.store.tables import ReceivedUpdate, Round, Version
from shared.federated.update import UpdateHeader
from shared.federated.weights import Schema, open_weights
from shared.web.engines import open_engine, parse_url
from tests.faults.kill_points import Trap, walk
from tests.faults.main_servers import SQLITE, STORES, MainServers, Store
from tests.federated.packed import packed
from tests.main_server.many_clients import Client, first_weights
from tests.server import Server

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

TASKS = """
[tasks.average]
classes = ["0", "1"]
mode = "async"
asynchronous = {rule = "running_average", most_staleness = 4}

[tasks.fedasync]
classes = ["0", "1"]
mode = "async"
asynchronous = {rule = "fedasync", most_staleness = 4}
keep = {last = 2}

[tasks.fedbuff]
classes = ["0", "1"]
mode = "async"
asynchronous = {rule = "fedbuff", buffer_size = 3, most_staleness = 4}

[tasks.packed]
classes = ["0", "1"]
mode = "async"
asynchronous = {rule = "fedbuff", buffer_size = 2, most_staleness = 4}

[tasks.late]
classes = ["0", "1"]
rounds = {late_updates = "merge"}
"""
DEVICES = ("device1", "device2")
#: How many updates make a version.
UPDATES = {"average": 1, "fedasync": 1, "fedbuff": 3, "packed": 2, "late": 2}
#: How the updates of a task are packed, of those that are.
PACKED = {"packed": "int8"}

#: One call of those that make a version. What it did before a kill is not done again, but told.
Call = Callable[[httpx.Client], httpx.Response]


class Pair:
    """A main server that is killed, or two of which one is, and one like it that is not."""

    def __init__(self, directory: Path, store: Store) -> None:
        self.directory = directory
        (directory / "tasks.toml").write_text(TASKS)
        self.killed = MainServers(self._server("killed"), store)
        self.undisturbed = MainServers(self._server("undisturbed"), Store(SQLITE, None))
        self.trap = Trap(self.killed.servers, directory / "trap")
        self._sent = dict.fromkeys(UPDATES, 0)

    def _server(self, name: str) -> Server:
        (self.directory / name).mkdir()
        environment = {"TASKS_FILE": str(self.directory / "tasks.toml"), "WORKERS": "1"}
        return Server("main_server.wsgi:app", self.directory / name, environment)

    def start(self) -> None:
        """Both, from one state: devices are enrolled, tasks have their version 0."""
        self.undisturbed.start()
        (server,) = self.undisturbed.servers
        for task in UPDATES:
            for name in DEVICES:
                client = Client(server, name, task)
                client.join()
                client.close()
        server.stop()
        self.killed.begin_from(server.state)
        self.undisturbed.start()
        self.killed.start()

    def close(self) -> None:
        for main_servers in (self.undisturbed, self.killed):
            main_servers.close()

    def calls(self, task: str) -> list[Call]:
        """Those that make the next version of a task."""
        newest = len(versions(self.undisturbed, task)) - 1
        calls = [self._push(task, newest) for _ in range(UPDATES[task])]
        return [*calls, partial(_aggregate, task=task)] if task == "late" else calls

    def _push(self, task: str, newest: int) -> Call:
        """The next update of a task; but for the first device's of a round it is stale."""
        self._sent[task] += 1
        number = self._sent[task]
        device = DEVICES[number % 2]
        is_fresh = task == "late" and device == DEVICES[0]
        weights = {
            name: (array * np.float32(1 / number)).astype(np.float32)
            for name, array in first_weights().items()
        }
        header = UpdateHeader(
            task=task,
            device=device,
            base_version=newest if is_fresh else max(0, newest - 1),
            num_samples=number,
            metrics={"loss": 1.0},
            sequence=number,
            fingerprint=Schema.of(weights).fingerprint(fingerprint_of(self.undisturbed, task)),
        )
        body, _ = packed(
            weights, first_weights(), PACKED.get(task, "none"), seed=number, header=header
        )
        return partial(_push, task=task, device=device, body=body)


def _push(http: httpx.Client, task: str, device: str, body: bytes) -> httpx.Response:
    headers = {"Authorization": f"Bearer {f'token-of-{device}'.ljust(40, '-')}"}
    return http.post(f"/cmodel?task={task}", content=body, headers=headers)


def _aggregate(http: httpx.Client, task: str) -> httpx.Response:
    return http.post(f"/aggregate_models?task={task}")


def rows(main_servers: MainServers, query: Executable) -> list[tuple[Any, ...]]:
    engine = open_engine(parse_url(main_servers.store_url))
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]
    finally:
        engine.dispose()


def fingerprint_of(main_servers: MainServers, task: str) -> str:
    """The backbone's, which the fingerprint of an update holds."""
    query = select(Version.backbone).where(Version.task == task, Version.version == 0)
    ((told,),) = rows(main_servers, query)
    return str(told)


def versions(main_servers: MainServers, task: str) -> list[tuple[Any, ...]]:
    """All versions of a task: what they are, and whether their file is there."""
    told = (Version.version, Version.sha256, Version.state, Version.pruned.is_(None))
    return rows(main_servers, select(*told).where(Version.task == task).order_by(Version.version))


def updates(main_servers: MainServers, task: str) -> list[tuple[Any, ...]]:
    """What is recorded of a task's updates, in their order."""
    one = ReceivedUpdate
    order = (Round.number, one.number, one.device)
    told = (Round.status, Round.version, one.sha256, one.base_version, one.weight, one.norm)
    return rows(
        main_servers,
        select(*order, *told)
        .join(Round, Round.id == one.round_id)
        .where(Round.task == task)
        .order_by(*order),
    )


@pytest.fixture(scope="module")
def pair(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = Pair(tmp_path_factory.mktemp("pair"), store)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("store", STORES, indirect=True)
@pytest.mark.parametrize(
    ("task", "place", "chosen"),
    [
        # The place of the call that is broken off, of those that make a version; and how often.
        ("average", 0, 1),
        ("fedasync", 0, 2),
        ("fedbuff", 0, 1),
        ("fedbuff", 1, 0),
        ("fedbuff", 2, 2),
        ("packed", 0, 2),
        ("packed", 1, 0),
        ("late", 0, 0),
        ("late", 1, 1),
        ("late", 2, 2),
    ],
)
def test_killed_while_a_version_is_made(
    pair: Pair, store: Store, task: str, place: int, chosen: int
) -> None:
    for point in walk(f"{store.name} {task} {place}", chosen):
        for turn, call in enumerate(pair.calls(task)):
            told = call(pair.undisturbed.http)
            assert told.is_success, told.text
            answer = None
            if turn == place:
                answer = pair.trap.spring(point, partial(call, pair.killed.http), ())
                assert answer is not None or point.reached
                if point.reached and not any(server.runs for server in pair.killed.servers):
                    pair.killed.start()
            # Acknowledged or not, it is sent again, to the other server if there are two: it
            # counts once.
            again = call(pair.killed.http)
            if turn < UPDATES[task]:
                assert (again.status_code, again.json()) == (200, told.json()), point.story()
            else:
                is_done = turn == place and again.status_code == httpx.codes.CONFLICT
                assert again.is_success or is_done, again.text
            pair.killed.start()
        assert updates(pair.killed, task) == updates(pair.undisturbed, task), point.story()
        assert versions(pair.killed, task) == versions(pair.undisturbed, task), point.story()
        check_files(pair, task)


def check_files(pair: Pair, task: str) -> None:
    """Whether the file of every version that is kept is there and whole, and others are gone."""
    folder = pair.killed.servers[0].state / "models" / task
    kept = {
        f"{number}-{sha256[:16]}.safetensors"
        for number, sha256, _, is_kept in versions(pair.killed, task)
        if is_kept
    }
    assert {file.name for file in folder.iterdir() if not file.name.startswith(".")} == kept
    for name in kept:
        told = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert name.endswith(f"-{told[:16]}.safetensors")
        with open_weights(folder / name) as weights:
            weights.check_finite()
