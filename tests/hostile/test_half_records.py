"""Clients that cut TLS records: the loop that watches all connections waits for none of them."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from shared.command_line.commands import main as fedbell
from tests.hostile.house import main_server
from tests.hostile.slow import head
from tests.server import Server

_SECONDS = 60
_HEALTHY = b'{"status":"ok"}\n'


@pytest.fixture
def main(tmp_path: Path) -> Iterator[Server]:
    """A main server with one worker that serves TLS."""
    own = tmp_path / "certificates"
    told = CliRunner().invoke(
        fedbell, ["certificates", "--directory", str(own), "--name", "main_server"]
    )
    assert told.exit_code == 0, told.output
    server = main_server(
        tmp_path / "main",
        TLS_CERTIFICATE=str(own / "main_server.pem"),
        TLS_KEY=str(own / "main_server.key"),
        ARRIVAL_SECONDS="5",
        PATIENCE_SECONDS="2",
    )
    server.http.close()
    server.http = httpx.Client(
        base_url=server.url.replace("http://", "https://"),
        timeout=_SECONDS,
        trust_env=False,
        verify=ssl.create_default_context(cafile=own / "authority.pem"),
        limits=httpx.Limits(max_keepalive_connections=0),
    )
    server.start()
    yield server
    server.stop()


class RecordClient:
    """A TLS connection whose records can be sent in pieces."""

    def __init__(self, port: int) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._goes)
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._exchange()
        self.connection.sendall(self._goes.read())

    def record(self, data: bytes) -> bytes:
        """``data`` as it goes over the wire."""
        self._tls.write(data)
        return self._goes.read()

    def read_until(self, end: bytes) -> bytes:
        """What the server says next, until it has said ``end``."""
        answered = b""
        while end not in answered:
            try:
                answered += self._tls.read(65536)
            except ssl.SSLWantReadError:
                self._exchange()
        return answered

    def _exchange(self) -> None:
        self.connection.sendall(self._goes.read())
        data = self.connection.recv(65536)
        assert data, "the server has ended the connection"
        self._came.write(data)


def test_half_a_record_on_a_kept_connection(main: Server) -> None:
    workers = main.workers()
    client = RecordClient(main.port)
    with client.connection as connection:
        connection.sendall(client.record(head("GET", "/healthz")))
        assert client.read_until(_HEALTHY).startswith(b"HTTP/1.1 200 ")
        record = client.record(head("GET", "/healthz"))
        connection.sendall(record[:10])
        assert main.http.get("/healthz").is_success
        connection.sendall(record[10:])
        assert client.read_until(_HEALTHY).startswith(b"HTTP/1.1 200 ")
        connection.sendall(client.record(b"GET /heal"))
        client.read_until(b"HTTP/1.1 408 ")
    assert main.workers() == workers
    assert "Traceback" not in main.log.read_text()
