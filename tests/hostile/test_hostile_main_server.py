"""A main server that means harm: a device takes nothing of it, and nothing for ever."""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from shared.device.main_server_client import MainServer
from shared.device.settings import DeviceSettings
from shared.device.store import Store
from shared.errors import FedbellError
from shared.federated.task import Task
from tests.hostile.house import resident_bytes

_IS_LONG = "FEDBELL_FUZZ" in os.environ
_EXAMPLES = 5000 if _IS_LONG else 200
_MOST_GROWTH_BYTES = 64 * 1024 * 1024
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"

Said = Callable[[], Iterable[bytes]]


class Liar:
    """Says the same bytes to whoever calls, then hangs up."""

    def __init__(self) -> None:
        self.says: Said = list
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no further call."""
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=[client], daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            _hear_out(client)  # hanging up on what was not read would reset the connection
            for part in self.says():
                client.sendall(part)


def _hear_out(client: socket.socket) -> None:
    """Read one call to its end."""
    with client.makefile("rb") as call:
        length = 0
        while line := call.readline().strip().lower():
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        call.read(length)


@pytest.fixture
def liar() -> Iterator[Liar]:
    made = Liar()
    yield made
    made.close()


@pytest.fixture
def device(liar: Liar, tmp_path: Path) -> Iterator[MainServer]:
    """What a device calls its main server with."""
    made = MainServer(
        DeviceSettings.load(
            device_name="door",
            device_url="http://127.0.0.1:1",
            main_server_url=liar.url,
            dataset_directory=tmp_path,
            state_directory=tmp_path / "state",
            retry_seconds=0.01,
            answer_seconds=1,
            most_model_bytes=10_000_000,
        ),
        "a-token",
    )
    yield made
    made.close()


def _greeting() -> dict[str, Any]:
    task = Task(name="digits", classes=("0", "1"))
    return {
        "federation": "f" * 32,
        "heartbeat_seconds": 5,
        "tasks": {
            "digits": {
                "task": task.model_dump(mode="json"),
                "version": 3,
                "distributed_version": 2,
            }
        },
    }


def _json(body: bytes) -> bytes:
    return _OK + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def _for_ever(head: bytes, part: bytes, seconds: float) -> Said:
    def say() -> Iterator[bytes]:
        yield head
        while True:
            yield part
            time.sleep(seconds)

    return say


_ENDLESS = {
    "trickle": _for_ever(_OK + b"Content-Length: 100000\r\n\r\n", b" ", 0.1),
    "endless": _for_ever(_CHUNKED, b"fa00\r\n" + b" " * 64000 + b"\r\n", 0),
    "chunks": _for_ever(_CHUNKED, b"1\r\n \r\n", 0.1),
    "heads": _for_ever(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0),
    "silent": _for_ever(b"", b"", 0.1),
}  # fmt: skip
_SHORT = {
    "deep": _json(b'{"tasks": ' * 100_000),
    "deep list": _json(b"[" * 100_000),
    "number": _json(b"1" * 10_000),
    "no object": _json(b"[]"),
    "not finite": _json(json.dumps(_greeting() | {"heartbeat_seconds": float("nan")}).encode()),
    "bytes": _json(bytes(range(256))),
    "packed": _OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x1f\x8b\x08\x00\x00",
    "redirect": b"HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
    "no http": b"SSH-2.0-OpenSSH\r\n",
    "cut": _OK + b"Content-Length: 1000\r\n\r\n{",
    "informed": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000,
    "many tasks": _json(json.dumps(
        _greeting() | {"tasks": {f"t{n}": _greeting()["tasks"]["digits"] for n in range(2000)}}
    ).encode()),
    "long name": _json(json.dumps(_greeting() | {"federation": "f" * 10**6}).encode()),
    "problem": b"HTTP/1.1 409 x\r\nContent-Type: application/problem+json\r\n"
    b'Content-Length: 37\r\n\r\n{"title": [], "detail": {}, "type":1}',
}  # fmt: skip


@pytest.mark.parametrize("how", [*_ENDLESS, *_SHORT])
def test_no_answer_of_a_liar_is_taken(liar: Liar, device: MainServer, how: str) -> None:
    liar.says = _ENDLESS.get(how) or (lambda: [_SHORT[how]])
    before = resident_bytes(os.getpid())
    with pytest.raises(FedbellError) as refused:
        device.tell({})
    assert len(refused.value.detail) < 5000
    assert resident_bytes(os.getpid()) < before + _MOST_GROWTH_BYTES


@pytest.mark.parametrize("how", ["trickle", "endless", "chunks", "silent"])
def test_no_model_of_a_liar_is_taken(
    liar: Liar, device: MainServer, tmp_path: Path, how: str
) -> None:
    liar.says = _ENDLESS[how]
    target = tmp_path / "model"
    with pytest.raises(FedbellError):
        device.download("digits", None, "", target)
    assert not target.exists() or target.stat().st_size <= 10_100_000


def test_the_pace_is_not_the_main_servers_alone(liar: Liar, device: MainServer) -> None:
    greeting = json.dumps(_greeting() | {"heartbeat_seconds": 1e-300}).encode()
    liar.says = lambda: [_json(greeting)]
    assert device.tell({}).heartbeat_seconds == 0.1


_STRANGE = some.recursive(
    some.none()
    | some.booleans()
    | some.integers(-(2**70), 2**70)
    | some.floats()
    | some.text(max_size=100)
    | some.sampled_from(["../../x", "x" * 10_000, "\x00", "digits", "file:../../etc/passwd"]),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=9), inner),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _places(inner, (*path, name))


def _changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """``value`` with something else at a place, if it has that place."""
    if not path:
        return new
    if not isinstance(value, dict):
        return value
    return value | {path[0]: _changed(value.get(path[0]), path[1:], new)}


_PLACES = sorted(_places(_greeting()))


def test_mutated_greetings(liar: Liar, device: MainServer, tmp_path: Path) -> None:
    """Refused, or what a store can take; and then a good one is taken."""
    store = Store(tmp_path / "state", "door")

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        derandomize=not _IS_LONG,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(some.lists(some.tuples(some.sampled_from(_PLACES), _STRANGE), max_size=2))
    def greet(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
        told: Any = _greeting()
        for path, value in changes:
            told = _changed(told, path, value)
        liar.says = lambda: [_json(json.dumps(told).encode())]
        with contextlib.suppress(FedbellError):
            greeting = device.tell({})
            offers = [
                (each.task, each.version, each.distributed_version)
                for each in greeting.tasks.values()
            ]
            store.adopt(greeting.federation, offers)

    greet()
    liar.says = lambda: [_json(json.dumps(_greeting()).encode())]
    good = device.tell({})
    offer = good.tasks["digits"]
    store.adopt(good.federation, [(offer.task, offer.version, offer.distributed_version)])
    assert [row.name for row in store.tasks()] == ["digits"]
    store.database.close()
