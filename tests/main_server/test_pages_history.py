"""The past on the control page: rounds, promoted versions, plots, training curves; much of it."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from main_server import create_app
from main_server.settings import MainServerSettings

from .answering_device import AnsweringDevice
from .filled_store import fill
from .page import Page, look

KINDS = ("accuracy", "loss")
_MOST_BYTES = 300_000


@pytest.fixture
def devices(client: FlaskClient) -> Iterator[None]:
    made = [AnsweringDevice(client, name) for name in ("device1", "device2")]
    yield
    for each in made:
        each.close()


@pytest.mark.usefixtures("devices")
def test_rounds_promoted_versions_and_what_can_be_done_with_them(client: FlaskClient) -> None:
    client.post("/run_rounds", json={"rounds": 2})
    client.post("/modeltrain")
    client.post("/models/1/promote?task=digits")
    page = look(client)
    table = page.one(id="history").one("table", class_="rounds-table")
    lines = [line.text for line in table.one("tbody").all("tr")]
    assert lines[0].startswith("– – – 1 → 3 promoted the weights of version 1 again")
    assert lines[1].startswith("3 – – 2 → … abandoned none FedAvg")
    assert lines[2].startswith("2 75.0 % 0.500 1 → 2 distributed device1 (10), device2 (10)")
    links = {link.text: link.attributes["href"] for link in table.one(id="round-2").all("a")}
    assert links == {
        "compare": "/compare?task=digits&left=1&right=2",
        "weights": "/weights?task=digits&version=2&since=1",
        "curves": "/?task=digits&curves=2#curves",
        "download": "/models/2?task=digits",
        "promote": "/weights?task=digits&version=2#promote",
    }
    assert table.all("form") == [], "the weights page explains first"
    weights = Page.of(client.get(links["promote"]))
    assert weights.one(id="promote").attributes["action"] == "/models/2/promote?task=digits"
    for path in links.values():
        answer = client.get(path, headers={"Accept": "text/html"}, buffered=True)
        assert answer.status_code == 200
    assert client.get(links["download"], buffered=True).status_code == 200
    assert "Round 3 abandoned" in page.one(id="round").text
    assert page.one(id="round").one(class_="btn-primary").text == "Model Training (Locally)"


@pytest.mark.usefixtures("devices")
def test_curves_of_a_chosen_round_and_device(client: FlaskClient) -> None:
    client.post("/run_rounds", json={"rounds": 2})
    curves = look(client).one(id="curves")
    assert "Training in round 2" in curves.text
    names = [figure.attributes["aria-label"] for figure in curves.all("figure")]
    assert names == [f"{name}: {what}" for name in ("device1", "device2") for what in KINDS]
    table = curves.one(id="curves-device1").one("table")
    assert [cell.text for cell in table.all("th", scope="col")] == [
        "Epoch",
        "Loss",
        "Accuracy",
        "Validation accuracy",
    ]
    assert table.one("tbody").all("tr")[1].text == "2 0.5000 86.1 % 84.0 %"

    chosen = look(client, "?task=digits&curves=1&of=device2").one(id="curves")
    assert "Training in round 1" in chosen.text
    assert len(chosen.all("figure")) == 2
    none = look(client, "?task=digits&curves=77&of=").one(id="curves")
    assert "No device's training of round 77 is known" in none.text


def test_rounds_measured_on_different_pictures_say_so(client: FlaskClient) -> None:
    made = [AnsweringDevice(client, "device1")]
    client.post("/run_rounds", json={"rounds": 1})
    made.append(AnsweringDevice(client, "device2"))
    client.post("/run_rounds", json={"rounds": 2})
    told = "They were measured on 4 and on 8 test pictures: differences may be chance."
    assert told in client.get("/compare?left=1&right=2").text
    assert "may be chance" not in client.get("/compare?left=2&right=3").text
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    """A thousand rounds of fifty devices."""
    directory = tmp_path_factory.mktemp("filled")
    fill(directory / "state")
    tasks = directory / "tasks.toml"
    classes = ", ".join(f'"{number}"' for number in range(10))
    tasks.write_text(f"[tasks.digits]\nclasses = [{classes}]\nseed = 7\n")
    state: Path = directory / "state"
    settings = MainServerSettings(state_directory=state, tasks_file=tasks, heartbeat_seconds=3600)
    return create_app(settings).test_client()


def test_many_rounds_and_devices_stay_a_small_page(filled: FlaskClient) -> None:
    page = look(filled)
    history = page.one(id="history")
    assert len(history.one("table", class_="rounds-table").one("tbody").all("tr")) == 20
    assert "Of 1,000 rounds one of 5 is drawn." in history.text
    assert "10 of 50 devices have a line." in history.text
    (accuracy, _) = history.all("svg", role="img")
    assert len(accuracy.all(class_="dot")) == 200
    assert len(accuracy.all(class_="line-device")) == 10
    assert len(page.one(id="more-devices").all("li")) == 38
    assert page.one(id="more-modeltrain").one("summary").text.startswith("50 devices")

    older = next(link for link in history.all("a") if link.text == "Older rounds")
    assert older.attributes["href"] == "/?task=digits&before=981#rounds-heading"
    last = look(filled, "?task=digits&before=21").one(id="history")
    lines = [line.text for line in last.one("table", class_="rounds-table").one("tbody").all("tr")]
    assert len(lines) == 21
    assert lines[0].startswith("20 ")
    assert lines[-1].startswith("start 10.0 % 1.051 0 before any training")


def test_many_rounds_and_devices_stay_light(filled: FlaskClient) -> None:
    page = filled.get("/?task=digits")
    loaded = {
        each.attributes.get("src") or each.attributes["href"]
        for each in look(filled).all()
        if each.name == "script" or each.attributes.get("rel") == "stylesheet"
    }
    assert len(loaded) >= 5
    files = [filled.get(path, buffered=True) for path in loaded]
    assert all(answer.status_code == 200 for answer in files)
    wire = [len(gzip.compress(answer.data)) for answer in [page, *files]]
    assert sum(wire) < _MOST_BYTES / 2
