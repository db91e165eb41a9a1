"""HTTP that is none, or lies about itself: answered or dropped, at once, and nothing stays."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

from tests.hostile.house import files_in, main_server, resident_bytes, thin_device
from tests.hostile.slow import head
from tests.hostile.test_mutated_updates import rows
from tests.main_server.conftest import ThinDevice
from tests.server import Server

_IS_LONG = "FEDBELL_FUZZ" in os.environ
_EXAMPLES = 5000 if _IS_LONG else 150
_MOST_GROWTH_BYTES = 64 * 1024 * 1024
#: An answer to each of these is there at once, or after this long the connection has ended.
_ARRIVAL_SECONDS = 3
_WAIT_SECONDS = 60


@pytest.fixture(scope="module")
def main(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A main server with one worker, impatient."""
    server = main_server(
        tmp_path_factory.mktemp("main"), ARRIVAL_SECONDS=str(_ARRIVAL_SECONDS), PATIENCE_SECONDS="3"
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module", autouse=True)
def sender(main: Server) -> ThinDevice:
    """A device of a task that has a version."""
    thin = thin_device(main)
    assert thin.status().status_code == 200
    assert thin.offer().status_code == 201
    assert thin.send().status_code == 200
    return thin


def _said(main: Server, data: bytes, close: bool = True) -> bytes:
    """What the server answers to ``data``, until it ends the connection.

    Args:
        close: tell that nothing more will come.
    """
    with socket.create_connection(("127.0.0.1", main.port), timeout=_WAIT_SECONDS) as connection:
        answer = bytearray()
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
            if close:
                connection.shutdown(socket.SHUT_WR)
            while more := connection.recv(65536):
                answer += more
        return bytes(answer)


def _statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


def _unchanged(main: Server) -> object:
    incoming = list((main.state / "incoming").iterdir())
    return rows(main.state / "main_server.db"), files_in(main.state / "updates"), incoming


def _post(sender: ThinDevice, *headers: str, body: bytes = b"") -> bytes:
    return head("POST", "/cmodel", f"Authorization: Bearer {sender.token}", *headers) + body


def test_bodies_that_lie_about_their_length(main: Server, sender: ThinDevice) -> None:
    good = sender.update(num_samples=11)
    chunk = f"{len(good):x}\r\n".encode() + good + b"\r\n"
    chunked = "Transfer-Encoding: chunked"
    before = _unchanged(main)
    for headers, body, expected in (
        ([f"Content-Length: {len(good) + 1}"], good, {400}),
        ([f"Content-Length: {len(good) + 99_999}"], good, {400}),
        ([f"Content-Length: {len(good) - 1}"], good, {400, 422}),
        (["Content-Length: 0"], good, {400, 422}),
        (["Content-Length: -1"], good, {400}),
        (["Content-Length: +5"], good, {400}),
        (["Content-Length: 0x10"], good, {400}),
        (["Content-Length: 5, 5"], good, {400}),
        (["Content-Length: " + "9" * 30], good, {400, 413}),
        (["Content-Length: " + "9" * 5000], good, {400, 413}),
        (["Content-Length: 5", "Content-Length: 6"], good, {400}),
        ([f"Content-Length: {len(good)}", chunked], chunk + b"0\r\n\r\n", {400}),
        (["Transfer-Encoding: identity"], good, {400, 422, 501}),
        (["Transfer-Encoding: xchunked"], good, {400, 501}),
        ([chunked, chunked], chunk + b"0\r\n\r\n", {400}),
        ([chunked], chunk, {400}),
        ([chunked], chunk[:-20], {400}),
        ([chunked], b"zz\r\n" + good + b"\r\n0\r\n\r\n", {400}),
        ([chunked], b"-1\r\n" + good + b"\r\n0\r\n\r\n", {400}),
        ([chunked], b"f" * 16 + b"\r\n" + good + b"\r\n0\r\n\r\n", {400}),
        ([chunked], b"f" * 20_000 + b"\r\n" + good + b"\r\n0\r\n\r\n", {400}),
        ([chunked], chunk[:-2] + b"xx0\r\n\r\n", {400}),
        ([chunked], chunk + b"0\r\nX: " + b"y" * 300_000 + b"\r\n\r\n", {400, 431}),
        ([chunked], b"5;" + b"x" * 9000 + b"\r\n" + good + b"\r\n0\r\n\r\n", {400}),
        ([chunked], b"0\r\n\r\n", {400, 422}),
        ([chunked], b"", {400}),
        (["Content-Encoding: gzip", f"Content-Length: {len(good) - 3}"], good[3:], {400, 422}),
    ):
        answer = _said(main, _post(sender, *headers, body=body))
        statuses = _statuses(answer)
        assert statuses, (headers, answer)
        assert statuses[0] in expected, (headers, body[:20], statuses)
        assert all(status != 500 for status in statuses)
    assert _unchanged(main) == before
    assert _statuses(_said(main, _post(sender, chunked, body=chunk + b"0\r\n\r\n"))) == [200]


def test_heads_that_are_none(main: Server) -> None:
    before = _unchanged(main)
    for data in (
        b"",
        b"\r\n" * 5000,
        b"\x00" * 5000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),  # the start of TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\n\n",
        b"\r\n\r\n\r\n",
        head("GET", "/" + "x" * 5000),
        head("GET", "/healthz", *(f"X-{n}: y" for n in range(200))),
        head("GET", "/healthz", "X: " + "y" * 9000),
        head("GET", "/healthz", "Host: other"),
        b"GET / HTTP/1.1\r\nHost: other\r\nAccept: text/html\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:99999999\r\nAccept: text/html\r\n\r\n",
        head("GET", "/healthz", "X : y"),
        head("GET", "/healthz", "X: y\r\n folded"),
        head("GET", "/healthz", "X: \x00"),
        head("GET", "/healthz", "Expect: nonsense"),
        head("GET", "/healthz", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
        head("GET", "http://[::1/healthz"),
        head("GET", "//evil.example/healthz"),
        head("GET", "/%2e%2e/%2e%2e/etc/passwd"),
        head("GET", "/models/%00"),
        head("GET", "/rounds?before=" + "9" * 3000),
        head("GET", "/models/0", "Range: bytes=" + ",".join(["0-1"] * 900)),
        head("GET", "/models/0", "Range: bytes=99999999999999999999-"),
        head("GET", "/models/0", 'If-None-Match: "' + "x" * 8000),
        head("GET", "/models/0", "If-Modified-Since: Thu, 99 Foo 9999 99:99:99 GMT"),
        head("GET", "/events?after=1", "Last-Event-ID: " + "9" * 4000)[:-2],
        head("GET", "/", "Cookie: " + "a=b; " * 1500),
        head("GET", "/", "Accept: " + "text/html;q=0.1," * 500),
        head("POST", "/run_rounds", "Content-Type: application/json", "Content-Length: 90000")
        + b"[" * 90000,
        head("POST", "/run_rounds", "Content-Type: application/json", "Content-Length: 60000")
        + b"[" * 60000,
        head("POST", "/run_rounds", "Content-Type: application/json", "Content-Length: 5000")
        + b'{"rounds":'
        + b"9" * 4989
        + b"}",
        head("POST", "/clientstatus", "Content-Type: application/json", "Content-Length: 1000000")
        + b'{"a":' * 200_000,
        head("TRACE", "/"),
        head("CONNECT", "127.0.0.1:22"),
    ):
        answer = _said(main, data)
        assert all(s != 500 for s in _statuses(answer)), (data[:60], answer)
        assert b"Traceback" not in answer
    assert _unchanged(main) == before
    assert main.http.get("/healthz").is_success


@pytest.mark.parametrize(
    ("data", "status", "told"),
    [
        (b"what is this?\r\n\r\n", 400, "no call of HTTP/1.1"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "HTTP Version"),
        (head("POST", "/run_rounds", "Content-Length: 0x10"), 400, "CONTENT-LENGTH"),
        (head("GET", "/" + "x" * 5000), 414, "too long"),
        (head("GET", "/healthz", "Expect: 100-foo"), 417, "100-continue"),
        (head("GET", "/healthz", "X: " + "y" * 9000), 431, "too long"),
        (head("GET", "/healthz", "X: " + "y" * 40_000), 431, "too long"),
        (head("POST", "/run_rounds", "Transfer-Encoding: nonsense, chunked"), 501, "chunked"),
    ],
)
def test_what_is_no_call_is_answered_with_a_problem(
    main: Server, data: bytes, status: int, told: str
) -> None:
    start, _, body = _said(main, data).partition(b"\r\n\r\n")
    assert start.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Content-Type: application/problem+json" in start
    problem = json.loads(body)
    assert problem["status"] == status
    assert told in problem["detail"]


_CALLS = some.sampled_from(
    [
        "GET / HTTP/1.1",
        "POST /cmodel HTTP/1.1",
        "POST /clientstatus HTTP/1.1",
        "GET /models/0 HTTP/1.0",
        "PUT /models/0 HTTP/1.1",
        "POST /run_rounds HTTP/1.1",
        "HEAD /rounds HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ]
)
_HEADERS = some.sampled_from(
    [
        "Host: 127.0.0.1",
        "Host: 127.0.0.1:99999999",
        "Host:",
        "Content-Length: 9",
        "Content-Length: 99999",
        "Transfer-Encoding: chunked",
        "Connection: keep-alive, close",
        "Expect: 100-continue",
        "Content-Type: application/json",
        "Accept: text/html",
        "X-Forwarded-For: ' \" <",
        "Range: bytes=-1",
        "Content-Type: multipart/form-data; boundary=" + "b" * 200,
        "Origin: null",
        "Cookie: fedbell_theme=x",
        "Authorization: Bearer ",
        "Prefer: respond-async;;;,=",
        "Upgrade: websocket",
        "TE: trailers",
    ]
)


def test_mutated_calls(main: Server) -> None:
    def counted() -> object:  # some calls are good ones: they begin a round that fails
        told = rows(main.state / "main_server.db")
        return [told[table] for table in ("devices", "device_tasks", "versions", "updates")]

    (worker,) = main.workers()
    before = counted()
    for _ in range(50):
        _said(main, head("GET", "/"))
    warm = resident_bytes(worker)

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        derandomize=not _IS_LONG,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @example("GET / HTTP/1.1", ["Host: 127.0.0.1"], b"", [(2, b"\xff")])
    @given(
        _CALLS,
        some.lists(_HEADERS, max_size=6),
        some.binary(max_size=60),
        some.lists(some.tuples(some.integers(0, 400), some.binary(max_size=6)), max_size=3),
    )
    def knock(call: str, headers: list[str], body: bytes, damages: list[tuple[int, bytes]]) -> None:
        data = bytearray("\r\n".join([call, *headers, "", ""]).encode() + body)
        for at, what in damages:
            place = at % len(data)
            data[place : place + len(what)] = what
        answer = _said(main, bytes(data))
        assert all(s != 500 for s in _statuses(answer)), answer

    knock()
    assert counted() == before
    assert main.workers() == [worker], "it has died meanwhile"
    assert resident_bytes(worker) < warm + _MOST_GROWTH_BYTES
    assert "Traceback" not in main.log.read_text()
