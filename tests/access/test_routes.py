"""Every call of both servers belongs to somebody: a new one without a class fails here."""

from collections.abc import Callable
from pathlib import Path

import pytest
from apiflask import APIFlask

from shared.device import app as device_app
from shared.device.device import Device
from shared.web.access.routes import Who
from tests.device.conftest import write_dataset

from .conftest import ADMIN

_SAFE = {"GET", "HEAD", "OPTIONS"}


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> APIFlask:
    """A device's application; its trainer and its threads do not run."""
    monkeypatch.setattr(Device, "start", lambda _: None)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "device"))
    monkeypatch.setenv("DATASET_DIRECTORY", str(write_dataset(tmp_path / "dataset")))
    monkeypatch.setenv("ADMIN_TOKEN", ADMIN)
    return device_app.build(Path("device1/device.toml").absolute())


@pytest.fixture
def apps(device: APIFlask, app: APIFlask) -> list[APIFlask]:
    return [app, device]


def test_every_call_has_a_class(apps: list[APIFlask]) -> None:
    for app in apps:
        table = app.extensions["fedbell_routes"]
        there = {rule.endpoint for rule in app.url_map.iter_rules()}
        assert there <= table.keys(), "add it to main_server/routes.py or shared/device/routes.py"


def test_who_may_only_look_changes_nothing(apps: list[APIFlask]) -> None:
    for app in apps:
        table = app.extensions["fedbell_routes"]
        for rule in app.url_map.iter_rules():
            if table[rule.endpoint] in {Who.VIEWER, Who.DEVICE_OR_VIEWER}:
                assert rule.methods is not None
                assert rule.methods <= _SAFE, rule


def test_nobody_unknown_is_let_in(apps: list[APIFlask]) -> None:
    for app in apps:
        client = app.test_client()
        table = app.extensions["fedbell_routes"]
        for rule in app.url_map.iter_rules():
            if table[rule.endpoint] is Who.ANYBODY:
                continue
            path = app.url_map.bind("localhost").build(
                rule.endpoint, {name: "1" if name == "number" else 1 for name in rule.arguments}
            )
            for method in (rule.methods or set()) - {"OPTIONS"}:
                answer = client.open(path, method=method, json={"device": "d", "url": None})
                # A device that is unknown may enrol, with a token of its own.
                assert answer.status_code in {400, 401} if method == "POST" else 401, rule
                if table[rule.endpoint] is not Who.DEVICE:
                    assert answer.status_code == 401, rule


def test_a_call_in_no_table_is_the_operators(make_app: Callable[..., APIFlask]) -> None:
    app = make_app(admin_token=ADMIN)
    app.add_url_rule("/new", "new", lambda: "here")
    client = app.test_client()
    assert client.get("/new").status_code == 401
    assert client.get("/new", headers={"Authorization": f"Bearer {ADMIN}"}).text == "here"


def test_a_device_believes_its_main_server_alone(device: APIFlask) -> None:
    client = device.test_client()
    for step in ("modeltrain", "modeltrain/cancel", "sendmodel", "aggmodel"):
        assert client.post(f"/{step}").status_code == 401
        forged = {"Fedbell-Call": f"1.{'0' * 32}.{'0' * 64}"}
        assert client.post(f"/{step}", headers=forged).status_code == 401
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code == 401
