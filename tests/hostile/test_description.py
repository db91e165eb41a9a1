"""Both servers do as their OpenAPI description says, whatever is sent to them.

Schemathesis makes calls of the description, good ones and bad ones. Left out are calls that go on
for ever (the stream of events), and shutting down what others in this module use.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.federation import Federation
from tests.hostile.house import main_server, thin_device
from tests.server import Server

_IS_LONG = "FEDBELL_FUZZ" in os.environ
# Whatever comes as safetensors is bytes; wrong ones are in test_mutated_updates.py.
schemathesis.serializer.alias("application/vnd.safetensors", "application/octet-stream")

_settings = settings(
    max_examples=200 if _IS_LONG else 5,
    deadline=None,
    derandomize=not _IS_LONG,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
_ENDLESS = ["/events"]
_WAIT_SECONDS = 60
#: Where a call depends on another server or a step, these are no server's own fault.
_OTHERS_FAULT = {502, 503, 504}


def _no_accident(context: Any, response: Any, case: Any) -> bool | None:
    if response.status_code in _OTHERS_FAULT:
        return None
    return not_a_server_error(context, response, case)


_CHECKS = [
    _no_accident,
    response_schema_conformance,
    status_code_conformance,
    content_type_conformance,
]


@pytest.fixture(scope="module")
def main(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A main server with a device that is away."""
    server = main_server(tmp_path_factory.mktemp("main"), TRAINING_TIMEOUT_SECONDS="1")
    server.start()
    sender = thin_device(server)
    assert sender.status().status_code == 200
    assert sender.offer().status_code == 201
    assert sender.send().status_code == 200
    yield server
    server.stop()


@pytest.fixture
def device(federation: Federation) -> Server:
    """A device with few pictures and its main server."""
    return federation.devices["device1"]


def _check_all(server: Server, **headers: str) -> None:
    """Good and bad calls of everything that a server describes."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json").exclude(path=_ENDLESS)
    wrong: list[str] = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found.err()
        operation = found.ok()
        for mode in GenerationMode:
            try:
                _check(operation, mode, headers)
            except FailureGroup as failures:
                wrong += [f"{operation.label}: {each}" for each in failures.exceptions]
    assert not wrong, "\n\n".join(wrong)


def _check(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> None:
    @_settings
    @given(operation.as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        # Steps go on by themselves: nobody waits for a training.
        case.call_and_validate(
            headers={"Prefer": "respond-async"} | headers,
            checks=_CHECKS,
            timeout=_WAIT_SECONDS,
            allow_redirects=False,
        )

    with contextlib.suppress(Unsatisfiable):  # a call that takes nothing cannot take nonsense
        call()


def test_the_main_server(main: Server) -> None:
    _check_all(main, **thin_device(main).headers)


def test_a_device(device: Server) -> None:
    _check_all(device)


def test_both_live_on(main: Server, device: Server) -> None:
    for server in (main, device):
        assert server.http.get("/readyz").is_success
        assert "unexpected error" not in server.log.read_text()
