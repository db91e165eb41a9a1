"""Connections that are many, broken or in each other's way: each ends alone, the loop goes on.

The worker's loop, looked at once at a time, so that what comes together is the test's choice.
"""

import errno
import logging
import os
import socket
from collections.abc import Callable, Iterator
from selectors import EVENT_READ
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from shared.web.serving import PatientWorker
from shared.web.serving.connection import Connection

_CONNECTIONS = 3

Connect = Callable[[], socket.socket]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[PatientWorker]:
    """One that listens, has no application and does nothing by itself."""
    monkeypatch.setattr(Worker, "init_process", lambda _worker: None)
    config = Config()
    config.set("worker_connections", _CONNECTIONS)
    config.set("threads", 2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        worker = PatientWorker(1, os.getppid(), [listener], None, 30, config, Logger(config))
        worker.init_process()
        worker.set_accept_enabled(True)
        yield worker
        while worker.pending_conns:
            worker.pending_conns.popleft().close()
        worker.tpool.shutdown()
        worker.poller.close()
        worker.method_queue.close()
        worker.tmp.close()


@pytest.fixture
def connect(worker: PatientWorker) -> Iterator[Connect]:
    """Connects a client, of whom the worker does not know yet."""
    clients: list[socket.socket] = []

    def one() -> socket.socket:
        clients.append(socket.create_connection(worker.sockets[0].getsockname(), timeout=10))
        return clients[-1]

    yield one
    for client in clients:
        client.close()


def _look(worker: PatientWorker) -> None:
    worker.wait_for_and_dispatch_events(10)


def _is_over(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_who_gives_way_has_just_said_something(worker: PatientWorker, connect: Connect) -> None:
    clients = []
    for _ in range(_CONNECTIONS - 1):
        clients.append(connect())
        _look(worker)
    clients.append(connect())
    clients[0].sendall(b"G")  # the same look finds this and the new connection
    _look(worker)
    assert [_is_over(client) for client in clients] == [True, False, False]
    assert worker.nr_conns == len(worker.pending_conns) == _CONNECTIONS - 1


def test_what_goes_wrong_with_one_connection_ends_it_alone(
    worker: PatientWorker,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = connect()
    _look(worker)
    second = connect()
    _look(worker)
    broken = worker.pending_conns[0]
    read = Connection.read

    def breaks(conn: Connection) -> bytes | None:
        if conn is broken:
            raise RuntimeError
        return read(conn)

    monkeypatch.setattr(Connection, "read", breaks)
    first.sendall(b"G")
    second.sendall(b"G")
    with caplog.at_level(logging.ERROR):
        _look(worker)
    assert (_is_over(first), _is_over(second)) == (True, False)
    assert [len(conn.arrival) for conn in worker.pending_conns] == [1]
    assert worker.nr_conns == 1
    assert "RuntimeError" in caplog.text


def test_a_number_that_the_poller_takes_for_another_file(
    worker: PatientWorker, connect: Connect
) -> None:
    first = connect()
    with socket.socket() as forgotten:  # the next file has its number
        worker.poller.register(forgotten.fileno(), EVENT_READ)
    _look(worker)
    assert worker.nr_conns == len(worker.pending_conns) == 0
    assert _is_over(first)
    second = connect()
    _look(worker)
    assert not _is_over(second)
    assert worker.nr_conns == len(worker.pending_conns) == 1


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_without_a_file_for_a_new_connection_the_oldest_gives_way(
    worker: PatientWorker, connect: Connect, number: int
) -> None:
    client = connect()
    _look(worker)

    class Full:
        def accept(self) -> Any:
            raise OSError(number, os.strerror(number))

    for _ in range(2):  # the second time there is none
        worker.accept(Full())  # type: ignore[arg-type]
        assert _is_over(client)
        assert worker.nr_conns == len(worker.pending_conns) == 0
