"""The network that benchmarks put between clients and a server."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from benchmarks.slow_network import SlowNetwork

MODEL = b"m" * 800_000


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(MODEL)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"here")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Connections break here: that is no news."""


@pytest.fixture
def port() -> Iterator[int]:
    server = _Quiet(("127.0.0.1", 0), _Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def _call(port: int, method: str) -> int:
    """How many bytes came back, over a connection of its own."""
    body = MODEL if method == "POST" else None
    answer = httpx.request(method, f"http://127.0.0.1:{port}/", content=body, timeout=30)
    return len(answer.content)


def test_what_goes_through_it_is_whole_and_late(port: int) -> None:
    with SlowNetwork(port, 0.1, 0) as network:
        for method, size in (("GET", len(MODEL)), ("POST", len(b"here"))):
            began = time.monotonic()
            assert _call(network.port, method) == size
            assert time.monotonic() - began >= 0.2  # a connection, and a question with its answer
        assert (network.connections, network.broken) == (2, 0)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_breaks_whichever_way_the_model_goes(port: int, method: str) -> None:
    with SlowNetwork(port, 0, 1) as network:
        for _ in range(10):
            with pytest.raises(httpx.TransportError):
                _call(network.port, method)
        assert (network.connections, network.broken) == (10, 10)


def test_of_many_connections_about_so_many_break(port: int) -> None:
    broken = 0
    with SlowNetwork(port, 0, 0.2) as network:
        for _ in range(100):
            try:
                _call(network.port, "GET")
            except httpx.TransportError:
                broken += 1
        assert (network.connections, network.broken) == (100, broken)
    assert 10 <= broken <= 30
