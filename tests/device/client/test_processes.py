"""Real clients and a real main server: killed, stopped, cut off, side by side."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.device.client.faulty import Cut, FaultyWire
from tests.device.client.house import (
    ASYNC_TASKS,
    TASKS,
    ClientProcess,
    main_server,
    updates,
    versions,
    write_mnist,
)
from tests.server import Server, wait_until

#: An update of mnist_mlp has about 790,000 bytes.
_HALF_AN_UPDATE, _AN_UPDATE = 400_000, 700_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mnist(tmp_path_factory.mktemp("mnist"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = main_server(tmp_path / "main_server")
    server.start()
    yield server
    server.stop()
    server.http.close()


def test_ctrl_c_ends_it_and_the_next_start_goes_on(
    tmp_path: Path, data: Path, server: Server
) -> None:
    client = ClientProcess(tmp_path / "alice", server.url, data)
    try:
        client.start(epochs=1000, chunk_size=60, shards=(1, 2))
        client.says("chunk 1 of 2, version 0, epoch 2/1000")
        began = time.monotonic()
        assert client.interrupt() == 0
        assert time.monotonic() - began < 20  # of a training that takes much longer
        assert "bye, goes on from chunk 1 next time" in client.output
        assert not updates(server)

        other = ClientProcess(tmp_path / "alice", server.url, data)
        client.start(epochs=1)
        client.says("pushed update 1")
        assert other.run() == 1
        assert "Another client works with" in other.output
        assert client.interrupt() == 0
        assert "Traceback" not in client.output
    finally:
        client.kill()


def test_the_main_server_goes_away_and_comes_back(tmp_path: Path, data: Path) -> None:
    server = main_server(tmp_path / "main_server")
    server.start()
    wire = FaultyWire(server.port)
    client = ClientProcess(tmp_path / "alice", wire.url, data, max_retries=2)
    try:
        wire.cuts = [Cut("down", _HALF_AN_UPDATE), Cut("up", _HALF_AN_UPDATE)]
        wire.cuts += [Cut("answer", _AN_UPDATE)]
        client.start()
        client.says("pushed update 3")
        assert not wire.cuts  # all of this has happened
        wire.delay_seconds = 0.002
        client.says("pushed update 4")
        wire.delay_seconds = 0
        server.kill()
        client.says("the next try is in")
        server.start()
        client.says("pushed update 6")
        wire.go_away()
        client.says("cannot be reached", client.output.count("cannot be reached") + 1)
        wire.come_back()
        client.says("pushed update 8")
        assert client.interrupt() == 0
        told = client.output.count("pushed update")
        # Each acknowledged update counts once; the last may have lost its answer to Ctrl-C.
        assert told <= len(updates(server)) <= told + 1
        newest = max(versions(server))
        assert newest <= len(updates(server))
    finally:
        client.kill()
        wire.close()
        server.stop()
        server.http.close()


def test_two_clients_and_a_federation_that_begins_anew(tmp_path: Path, data: Path) -> None:
    server = main_server(tmp_path / "main_server", TASKS.replace("auto", "min_updates = 2\nauto"))
    server.start()
    clients = [
        ClientProcess(tmp_path / name, server.url, data, id=name, shards=shards)
        for name, shards in {"alice": (1, 2), "bob": (3, 3)}.items()
    ]
    try:
        for client in clients:
            client.start()
        wait_until(lambda: versions(server).get(3), 120)
        by_round = server.get("/rounds?task=mnist")["rounds"]
        assert all(sorted(row["updates"]) == ["alice", "bob"] for row in by_round[1:])

        server.stop()
        server.state.rename(tmp_path / "former")
        server.start()
        for client in clients:
            client.says("has begun a new federation")
        wait_until(lambda: versions(server).get(2), 120)
        assert all(client.interrupt() == 0 for client in clients)
    finally:
        for client in clients:
            client.kill()
        server.stop()
        server.http.close()


def test_two_clients_of_an_asynchronous_task(tmp_path: Path, data: Path) -> None:
    server = main_server(tmp_path / "main_server", ASYNC_TASKS)
    server.start()
    clients = {
        name: ClientProcess(tmp_path / name, server.url, data, id=name, shards=shards)
        for name, shards in {"alice": (1, 2), "bob": (2, 3)}.items()
    }
    try:
        for client in clients.values():
            client.start(rounds=5)
        assert [client.end() for client in clients.values()] == [0, 0]
        assert sorted(updates(server)) == ["alice"] * 5 + ["bob"] * 5
        assert list(versions(server)) == list(range(11))  # each update made one
        assert '" 500 ' not in server.log.read_text()
    finally:
        for client in clients.values():
            client.kill()
        server.stop()
        server.http.close()
