"""Slow, silent and vanishing clients: the others are answered, and nothing of them stays."""

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from shared.federated.weights import Schema
from tests.hostile.house import files_in, main_server, thin_device
from tests.hostile.slow import Dawdler, Siege, dawdlers, head, within
from tests.main_server.conftest import BACKBONE, ThinDevice
from tests.server import Server, wait_until

#: Short, so that a test sees their end; docs/hostile_input.md tells the defaults.
_PATIENCE = {"ARRIVAL_SECONDS": "8", "PATIENCE_SECONDS": "6"}
#: Longer than any machine takes for a few calls, much shorter than the siege would make it.
_SOON_SECONDS = 45


@pytest.fixture(scope="module")
def main(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A main server with one worker, so that all clients share its threads."""
    server = main_server(tmp_path_factory.mktemp("main"), **_PATIENCE)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def sender(main: Server) -> ThinDevice:
    """A device of a task whose model has 6 MB."""
    thin = thin_device(main)
    assert thin.status().status_code == 200
    assert thin.offer(_weights()).status_code == 201
    return thin


def _weights() -> dict[str, np.ndarray]:
    return {"kernel": np.random.default_rng(1).standard_normal((1500, 1000), np.float32)}


def _send(sender: ThinDevice, number: int) -> None:
    fingerprint = Schema.of(_weights()).fingerprint(BACKBONE)
    body = sender.update(_weights(), fingerprint=fingerprint, num_samples=number)
    answer = sender.send(body)
    assert answer.status_code == 200, answer.text


def _has_answer(client: Dawdler) -> bool:
    return client.over or b"\r\n\r\n" in client.answered


def test_a_siege_of_the_main_server(main: Server, sender: ThinDevice) -> None:
    upload = head(
        "POST", "/cmodel", f"Authorization: Bearer {sender.token}", "Content-Length: 6000100"
    )
    with Siege(main.port, dawdlers(upload, head("GET", "/models/0"))) as siege:
        with within(_SOON_SECONDS):
            for number in range(20):
                assert main.http.get("/healthz").is_success, number
            _send(sender, 1)
        # Whoever dawdles loses the call: at last nobody is left but who reads, byte by byte,
        # what the system had taken for it.
        wait_until(lambda: not list((main.state / "incoming").iterdir()))
        _send(sender, 2)
        assert len(siege.left) < len(siege.dawdlers)
    kept = [name for name in files_in(main.state) if name.startswith("updates/")]
    assert len(kept) == 1
    assert "Traceback" not in main.log.read_text()


def test_who_sends_too_slowly_is_told_so(main: Server, sender: ThinDevice) -> None:
    late = Dawdler(b"GET /healthz HTT", b"P/1.1" * 100, reads=True)
    silent = Dawdler(reads=True)
    upload = head(
        "POST", "/cmodel", f"Authorization: Bearer {sender.token}", "Content-Length: 6000100"
    )
    slow = Dawdler(upload + bytes(65_536), bytes(5000), reads=True)
    with Siege(main.port, [late, silent, slow]):
        for each in (late, silent, slow):
            wait_until(partial(_has_answer, each))
        assert late.read_all().startswith(b"HTTP/1.1 408 ")
        assert silent.read_all() == b""
        assert slow.read_all().startswith(b"HTTP/1.1 408 ")
        assert b"urn:fedbell:problem:too-slow" in slow.answered
    assert not list((main.state / "incoming").iterdir())


def test_the_server_stops_while_clients_dawdle(tmp_path: Path) -> None:
    server = main_server(tmp_path)
    server.start()
    silent = [Dawdler() for _ in range(50)] + [Dawdler(b"GET /") for _ in range(50)]
    with Siege(server.port, silent), within(_SOON_SECONDS):
        server.stop()


@pytest.mark.parametrize("pieces", [1, 3, 1000])
def test_calls_in_pieces_and_calls_ahead(main: Server, pieces: int) -> None:
    """However a call is cut, and whatever follows it, each is answered once and in order."""
    body = b'{"rounds": "x"}'
    calls = (
        b"\r\n"
        + head("GET", "/healthz")
        + head("POST", "/run_rounds", "Content-Type: application/json", "Content-Length: 15")
        + body
        + head("POST", "/run_rounds", "Transfer-Encoding: chunked")
        + b"f\r\n"
        + body
        + b"\r\n0\r\n\r\n"
        + head("GET", "/readyz", "Connection: close")
    )
    size = max(1, len(calls) // pieces)
    with socket.create_connection(("127.0.0.1", main.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for begin in range(0, len(calls), size):
            connection.sendall(calls[begin : begin + size])
        answer = bytearray()
        while data := connection.recv(65536):
            answer += data
    statuses = [part.split(b" ")[0] for part in bytes(answer).split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"400", b"400", b"200"]


def test_a_head_that_never_ends(main: Server) -> None:
    with socket.create_connection(("127.0.0.1", main.port), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000)
        assert connection.recv(65536).startswith(b"HTTP/1.1 431 ")
