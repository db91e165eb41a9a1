"""Updates and first versions that are wrong: refused with a sentence, and nothing has changed.

750 of them here, 15,000 with ``make test-fuzz``.
"""

import hashlib
import os
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some
from werkzeug.test import TestResponse

from main_server import create_app
from main_server.settings import MainServerSettings
from tests.hostile.house import TASKS, files_in, resident_bytes
from tests.hostile.mutations import Mutated, mutated
from tests.main_server.conftest import ThinDevice
from tests.main_server.packed_updates import METHODS
from tests.main_server.packed_updates import update as packed_update

_IS_LONG = "FEDBELL_FUZZ" in os.environ
_EXAMPLES = 10_000 if _IS_LONG else 500
_settings = settings(
    deadline=None,
    derandomize=not _IS_LONG,
    database=None,
    suppress_health_check=list(HealthCheck),
)
#: Much more than a warm process takes for any of this, much less than a body kept each time.
_MOST_GROWTH_BYTES = 96 * 1024 * 1024
_WARM_EXAMPLES = 100
#: Who was seen when; and what is logged of calls that were refused.
_PASSING_COLUMNS = {"last_seen"}
_PASSING_TABLES = {"events", "failed_log_ins", "alembic_version"}


def rows(database: Path) -> dict[str, list[str]]:
    """All rows of all tables, but for what passes."""
    connection = sqlite3.connect(database)
    try:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        names = {name for (name,) in connection.execute(query)} - _PASSING_TABLES
        told = {}
        for table in sorted(names):
            cursor = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608
            columns = [column[0] for column in cursor.description]
            told[table] = sorted(
                repr([v for c, v in zip(columns, row, strict=True) if c not in _PASSING_COLUMNS])
                for row in cursor
            )
        return told
    finally:
        connection.close()


def everything(state: Path) -> dict[str, Any]:
    """What a refused call must leave as it was: rows, and files with their sizes."""
    files = files_in(state)
    files.pop("main_server.db", None)
    return {"rows": rows(state / "main_server.db"), "files": files}


def check_answer(answer: TestResponse, how: str) -> None:
    """No answer is the server's fault; each refusal is a sentence."""
    assert answer.status_code < 500, (how, answer.text)
    if answer.status_code >= 400:
        assert answer.mimetype == "application/problem+json", how
        assert len(answer.json["detail"]) > 10, how


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def device(state: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ThinDevice]:
    """A device of a task of the mode that the test is about; the task has no version."""
    tasks = tmp_path / "tasks.toml"
    mode = getattr(request, "param", "sync")
    tasks.write_text(f'{TASKS}mode = "{mode}"\nasynchronous.most_staleness = {_EXAMPLES}\n')
    app = create_app(
        MainServerSettings(state_directory=state, tasks_file=tasks, first_version_seconds=0)
    )
    thin = ThinDevice(app.test_client(), "device1")
    assert thin.status().status_code == 200
    yield thin
    app.extensions["fedbell"].database.close()


@pytest.mark.parametrize("device", ["sync", "async"], indirect=True)
def test_mutated_updates(device: ThinDevice, state: Path) -> None:
    assert device.offer().status_code == 201
    good = device.update(sequence=1)
    _send_mutated(device, state, mutated(good), [good])


@pytest.mark.parametrize("device", ["sync", "async"], indirect=True)
def test_mutated_packed_updates(device: ThinDevice, state: Path) -> None:
    assert device.offer().status_code == 201
    good = [packed_update(device, method, sequence=1) for method in METHODS]
    ways = some.sampled_from(good).flatmap(lambda body: mutated(body, is_packed=True))
    _send_mutated(device, state, ways, good)


def _send_mutated(
    device: ThinDevice, state: Path, ways: some.SearchStrategy[Mutated], good: Collection[bytes]
) -> None:
    before, number, warm = everything(state), 0, 0

    @settings(_settings, max_examples=_EXAMPLES // 4)
    @given(ways)
    def send(wrong: Mutated) -> None:
        nonlocal before, number, warm
        answer = device.send(wrong.body)
        check_answer(answer, wrong.how)
        if answer.status_code == 200:
            assert not wrong.must_be_refused or wrong.body in good, wrong.how
            before = everything(state)
        assert everything(state) == before, wrong.how
        number += 1
        if number % 25 == 0:
            taken = device.send(num_samples=number, sequence=number + 1)
            assert taken.status_code == 200, taken.text
            before = everything(state)
        if number == _WARM_EXAMPLES:
            warm = resident_bytes(os.getpid())

    send()
    assert resident_bytes(os.getpid()) < warm + _MOST_GROWTH_BYTES


def test_mutated_first_versions(device: ThinDevice, state: Path) -> None:
    sent: list[bytes] = []

    class Keeping:
        def put(self, path: str, data: bytes, headers: Any) -> None:
            sent.append(data)

    ThinDevice(Keeping(), "device1").offer()  # type: ignore[arg-type]
    (good,) = sent
    before = everything(state)

    @settings(_settings, max_examples=_EXAMPLES // 4)
    @given(mutated(good))
    def offer(wrong: Mutated) -> None:
        # Of weights nobody knows yet, any finite ones are as good as others.
        assume(wrong.must_be_refused and not wrong.how.startswith(("missing", "no text", "arrays")))
        answer = device.client.put("/models/0", data=wrong.body, headers=device.headers)
        check_answer(answer, wrong.how)
        assert answer.status_code >= 400, wrong.how
        assert everything(state) == before, wrong.how

    offer()
    assert device.offer().status_code == 201


_TOKENS = some.sampled_from(
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer " + "x" * 7000,
        "Basic ZGV2aWNlMQ==",
        "bearer token-of-device2".ljust(40, "-"),
        "Bearer \xe9",
        "Bearer \x00",
        "Bearer a b",
    ]
)
_TASKS = some.sampled_from(
    [
        "",
        "?task=",
        "?task=other",
        "?task=digits&task=other",
        "?task=" + "x" * 3000,
        "?task=%00",
        "?task=../digits",
        "?other=1",
        "?task=%ff",
        "?task[]=digits",
        "?" + "&" * 999,
        "?task=é",
    ]
)
_TYPES = some.sampled_from(
    [
        None,
        "",
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "text/html; charset=nonsense",
        "x" * 5000,
        "é",
    ]
)
_LENGTHS = some.sampled_from(
    [None, "", "0", "-1", "1.5", "x", "10", "999999", "9" * 30, str(2**63)]
)
_CODINGS = some.sampled_from([None, "gzip", "br", "identity", "x" * 999])


@settings(_settings, max_examples=_EXAMPLES // 4)
@given(
    some.sampled_from([("POST", "/cmodel"), ("PUT", "/models/0")]),
    *(some.none() | each for each in (_TOKENS, _TASKS, _TYPES, _LENGTHS, _CODINGS)),
)
def _knock(
    device: ThinDevice,
    state: Path,
    call: tuple[str, str],
    token: str | None,
    task: str | None,
    kind: str | None,
    length: str | None,
    coding: str | None,
) -> None:
    """A good body with wrong headers, or a wrong address."""
    body = device.update()
    environment: dict[str, Any] = {"HTTP_AUTHORIZATION": f"Bearer {device.token}"}
    if token is not None:
        environment["HTTP_AUTHORIZATION"] = token
    if kind is not None:
        environment["CONTENT_TYPE"] = kind
    if length is not None:
        environment["CONTENT_LENGTH"] = length
    if coding is not None:
        environment["HTTP_CONTENT_ENCODING"] = coding
    method, path = call
    before = everything(state)
    answer = device.client.open(
        path + (task or ""), method=method, data=body, environ_overrides=environment
    )
    check_answer(answer, repr((call, token, task, kind, length, coding)))
    if answer.status_code != 200:
        assert everything(state) == before


def test_mutated_calls(device: ThinDevice, state: Path) -> None:
    assert device.offer().status_code == 201
    _knock(device, state)
    assert device.send(num_samples=77).status_code == 200
    (kept,) = (state / "updates").rglob("*.safetensors")
    assert hashlib.sha256(kept.read_bytes()).hexdigest()[:16] in kept.name
