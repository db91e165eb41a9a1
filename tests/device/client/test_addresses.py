"""What a client makes of an address at which there is no main server of Fedbell."""

import socket
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.device.client.calls import is_wrong_address
from shared.device.client.settings import ClientSettings
from shared.device.connection import MainServerAway, MainServerFailed
from shared.device.main_server_client import MainServer
from shared.device.offline import is_passing
from tests.device.client.command import run, sentence

pytestmark = pytest.mark.usefixtures("process_as_before")


class Other(SimpleHTTPRequestHandler):
    """A web server that has no calls, and says nothing in its log."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Failing(Other):
    """Answers each call by the status that its address names."""

    def do_POST(self) -> None:
        """Fail."""
        self.send_error(int(self.path.split("/")[1]))


@pytest.fixture(params=[Other])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), request.param) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield server.server_port
        server.shutdown()


def problem(directory: Path, url: str, **settings: object) -> Exception:
    """What the first heartbeat fails with."""
    told = {"id": "alice", "task": "mnist", "shards": (1, 2), "data": directory}
    main_server = MainServer(ClientSettings.check(**told, main_server_url=url, **settings), "token")
    try:
        with pytest.raises((MainServerAway, MainServerFailed)) as error:
            main_server.tell({"device": "alice"})
    finally:
        main_server.close()
    return error.value


def once(directory: Path, url: str) -> str:
    """What a client that tries once says at its end."""
    state = f"--state={directory / 'state'}"
    return sentence(run(directory, f"--server={url}", "--max-retries=1", state))


def test_a_web_server_without_calls_ends_it(tmp_path: Path, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    told = once(tmp_path, url)
    assert told.startswith(f"Error: --server {url}: {url} answered 501 ")


def test_one_without_tls_ends_it_with_a_hint(tmp_path: Path, port: int) -> None:
    told = once(tmp_path, f"https://127.0.0.1:{port}")
    assert told.startswith(f"Error: --server https://127.0.0.1:{port}: ")
    assert "it does not seem to speak TLS, is it at http://…?" in told


@pytest.mark.parametrize("port", [Failing], indirect=True)
@pytest.mark.parametrize("status", [404, 500, 501, 502, 503, 504, 505])
def test_what_a_proxy_answers_may_pass(tmp_path: Path, port: int, status: int) -> None:
    error = problem(tmp_path, f"http://127.0.0.1:{port}/{status}")
    assert is_wrong_address(error) == (status not in {502, 503, 504})


def test_a_handshake_that_takes_too_long_may_pass_and_has_a_hint(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        error = problem(tmp_path, url, connect_seconds=0.2)
    assert "timed out: does it speak TLS, or is it at http://…?)" in str(error)
    assert is_passing(error)
    assert not is_wrong_address(error)


def test_a_connection_that_ends_amid_tls_may_pass() -> None:
    ended = "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol"
    assert not is_wrong_address(MainServerAway(f"It cannot be reached ({ended})."))
    refused = "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required"
    assert is_wrong_address(MainServerAway(f"It cannot be reached ({refused})."))
