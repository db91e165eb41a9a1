"""Who may call: no GET that changes something, no other origin, no unknown host."""

import shlex
from pathlib import Path

import pytest

from .conftest import ThinDevice, snapshot

STEPS = ["modeltrain", "sendmodel", "aggregate_models", "send_model_clients", "run_rounds"]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_never_a_get(device: ThinDevice, state: Path, step: str) -> None:
    before = snapshot(state)
    response = device.client.get(f"/{step}")
    assert response.status_code == 405
    assert f"curl -X POST http://localhost/{step}" in response.json["detail"]
    assert "POST" in response.headers["Allow"]
    assert snapshot(state) == before


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "http://["},
        {"Origin": "ftp://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_origin_changes_nothing(
    device: ThinDevice, state: Path, step: str, headers: dict[str, str]
) -> None:
    before = snapshot(state)
    response = device.client.post(f"/{step}", headers=headers)
    assert response.status_code == 403
    assert response.json["type"] == "urn:fedbell:problem:foreign-origin"
    assert snapshot(state) == before


def test_an_unknown_host(device: ThinDevice) -> None:
    for path in ("/", "/devices", "/healthz"):
        response = device.client.get(path, headers={"Host": "evil.example"})
        assert response.status_code == 400
        assert response.json["type"] == "urn:fedbell:problem:unknown-host"


def test_a_curl_line_is_safe_to_paste(device: ThinDevice) -> None:
    detail = device.client.get("/modeltrain?a=';id;'").get_json()["detail"]
    words = shlex.split(detail.partition("Try: ")[2])
    assert words == ["curl", "-X", "POST", "http://localhost/modeltrain?a=';id;'"]


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        ('{"rounds": 0}', "application/json"),
        ('{"rounds": 0}', "application/x-www-form-urlencoded"),  # what curl -d sends
        ('{"rounds": 0}', "text/plain"),
        ("rounds=0", "application/x-www-form-urlencoded"),
    ],
)
def test_a_body_is_read_however_it_is_called(
    device: ThinDevice, data: str, content_type: str
) -> None:
    response = device.client.post("/run_rounds", data=data, content_type=content_type)
    assert response.status_code == 400
    assert "rounds: Input should be greater than or equal to 1" in response.get_json()["detail"]
