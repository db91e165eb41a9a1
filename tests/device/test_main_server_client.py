import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.device import connection
from shared.device.connection import MainServerAway, MainServerFailed
from shared.device.main_server_client import MainServer
from shared.device.remote import RemoteProblem
from shared.device.settings import DeviceSettings

Answer = tuple[int, str, bytes]
HANG_UP: Answer = (0, "", b"")
PROBLEM = "application/problem+json"


class Script(ThreadingHTTPServer):
    """Answers calls one after the other as it was told to, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = []
        self.calls: list[tuple[str, bytes, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Script

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.calls.append((f"{self.command} {self.path}", body, dict(self.headers)))
        status, kind, content = self.server.answers.pop(0)
        if status:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("ETag", '"one"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - named by http.server

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def script() -> Iterator[Script]:
    with Script() as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def client(script: Script, make_settings: Callable[..., DeviceSettings]) -> Iterator[MainServer]:
    client = MainServer(
        make_settings(main_server_url=script.url, most_model_bytes=1000, join_token="please"),
        "secret",
    )
    yield client
    client.close()


def test_an_update_is_sent_again_when_the_connection_breaks(
    script: Script, client: MainServer, tmp_path: Path
) -> None:
    script.answers = [HANG_UP, HANG_UP, (200, "application/json", b'{"round": 4}')]
    (tmp_path / "update").write_bytes(b"weights" * 100_000)
    with (tmp_path / "update").open("rb") as file:
        assert client.send("shades", file) == {"round": 4}
    assert [call for call, _, _ in script.calls] == ["POST /cmodel?task=shades"] * 3
    assert {body for _, body, _ in script.calls} == {b"weights" * 100_000}
    headers = script.calls[-1][2]
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Join-Token"] == "please"
    assert headers["Content-Length"] == "700000"


def test_retries_end(script: Script, client: MainServer) -> None:
    script.answers = [HANG_UP] * 9
    with pytest.raises(MainServerAway, match=script.url):
        client.download("shades", None, "", Path("/dev/null"))
    assert len(script.calls) == 3
    assert client.reachability.reachable is False


def test_a_problem_keeps_type_title_and_detail(script: Script, client: MainServer) -> None:
    told = {
        "type": "urn:fedbell:problem:stale-update",
        "title": "The update is stale",
        "detail": "Train again.",
        "base_version": 3,
    }
    script.answers = [(409, PROBLEM, json.dumps(told).encode())]
    with pytest.raises(RemoteProblem) as error:
        client.download("shades", 3, "", Path("/dev/null"))
    assert error.value.as_problem() == told | {"status": 409}
    assert error.value.kind == "stale-update"
    assert len(script.calls) == 1
    assert client.reachability.reachable is True


@pytest.mark.parametrize(
    "answer",
    [
        (500, "text/html", b"<h1>Oh</h1>"),
        (302, "text/plain", b""),
        (200, "application/json", b"[1]"),
        (200, "application/json", b"{"),
        (200, "application/json", b"{}"),
        (200, "application/json", b'{"' + b"x" * 5_000_000 + b'": 1}'),
        (409, PROBLEM, b"not JSON"),
    ],
)
def test_an_answer_that_makes_no_sense(script: Script, client: MainServer, answer: Answer) -> None:
    script.answers = [answer]
    with pytest.raises(MainServerFailed):
        client.tell({})


def test_a_model_larger_than_the_limit(script: Script, client: MainServer, tmp_path: Path) -> None:
    script.answers = [(200, "application/vnd.safetensors", b"x" * 1001)]
    with pytest.raises(MainServerFailed, match="most_model_bytes"):
        client.download("shades", None, "", tmp_path / "model")


def test_a_model_that_is_here_already(script: Script, client: MainServer, tmp_path: Path) -> None:
    script.answers = [(200, "application/vnd.safetensors", b"model"), (304, "", b"")]
    assert client.download("shades", None, "", tmp_path / "model") == ('"one"', None)
    assert (tmp_path / "model").read_bytes() == b"model"
    assert client.download("shades", None, '"one"', tmp_path / "again") == (None, None)
    assert script.calls[1][2]["If-None-Match"] == '"one"'
    assert not (tmp_path / "again").exists()


def test_away_and_back_are_logged_once(
    make_settings: Callable[..., DeviceSettings], script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client = MainServer(make_settings(main_server_url=script.url), "secret")
    greeting = {"federation": "first", "heartbeat_seconds": 5, "tasks": {}}
    ok = (200, "application/json", json.dumps(greeting).encode())
    script.answers = [HANG_UP, HANG_UP, HANG_UP, ok, ok]
    for _ in range(3):
        with pytest.raises(MainServerAway):
            client.tell({})
    since = client.reachability.since
    assert client.tell({}).federation == client.tell({}).federation == "first"
    assert client.reachability.since != since
    told = [record.message for record in caplog.records if record.name == connection.__name__]
    assert len(told) == 2
    assert "cannot be reached" in told[0]
    assert "answers" in told[1]
    client.close()
