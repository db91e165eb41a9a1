"""Many open pages: streams are capped in each process, and calls are answered all the same."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.server import Server, wait_until

_PAGES = 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server("main_server.wsgi:app", tmp_path, {"WORKERS": "2"})
    started.start()
    yield started
    started.stop()
    started.http.close()


def open_stream(server: Server) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(b"GET /events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return connection


def status(connection: socket.socket) -> int:
    return int(connection.recv(65536).split()[1])


def test_twenty_open_pages_leave_room_for_calls(server: Server) -> None:
    with ExitStack() as pages:
        streams = [pages.enter_context(open_stream(server)) for _ in range(_PAGES)]
        answers = [status(stream) for stream in streams]
        assert set(answers) == {200, 503}, "some stream, the others are told to ask instead"
        for _ in range(50):
            assert server.http.get("/tasks").is_success
            assert server.http.get("/", headers={"Accept": "text/html"}).is_success
    # Pages that were closed give their places back.
    wait_until(lambda: _has_place(server))


def _has_place(server: Server) -> bool:
    with open_stream(server) as stream:
        return status(stream) == 200


def test_who_dawdles_is_given_up(tmp_path: Path) -> None:
    """As many as there are threads announce bodies that do not come: not for ever."""
    settings = {"WORKERS": "1", "THREADS": "3", "ARRIVAL_SECONDS": "2"}
    server = Server("main_server.wsgi:app", tmp_path, settings)
    server.start()
    form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n"
    body = f"POST /theme HTTP/1.1\r\nHost: localhost\r\n{form}".encode()
    try:
        with ExitStack() as dawdling:
            for _ in range(3):
                connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
                dawdling.enter_context(connection).sendall(body)
            assert server.http.get("/tasks", timeout=90).is_success
            assert status(connection) == 408
    finally:
        server.stop()
        server.http.close()
