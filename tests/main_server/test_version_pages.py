"""Two rounds side by side, and weights before and after: what the pages say."""

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient

from main_server.pages.round_results import SHADES, RoundResults
from main_server.store.tables import Evaluation, Round
from shared.federated.evaluation import Confusion
from shared.federated.weights import Array

from .conftest import ThinDevice, initial_weights
from .filled_store import fill

FORM = {"Accept": "text/html"}


class Tables(HTMLParser):
    """The tables of a page, by caption: a list of rows, each the texts of its cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.all: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag in ("caption", "th", "td"):
            self._open = [""]
        if tag == "tr":
            self._rows.append([])

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[0] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self._rows = self.all[self._open.pop()] = []
        elif tag in ("th", "td"):
            text = " ".join(self._open.pop().replace("\N{MINUS SIGN}", "-").split())
            self._rows[-1].append(text)


def tables(client: FlaskClient, path: str) -> dict[str, list[list[str]]]:
    answer = client.get(path, headers=FORM)
    assert answer.status_code == 200, answer.text
    return Tables(answer.text).all


def filled(number: float) -> dict[str, Array]:
    return {name: np.full_like(array, number) for name, array in initial_weights().items()}


def close_round(device: ThinDevice, number: float, base_version: int) -> None:
    sent = device.send(device.update(filled(number), base_version=base_version))
    assert sent.status_code == 200, sent.text
    assert device.client.post("/aggregate_models").status_code == 200


def measure(
    device: ThinDevice, version: int, confusion: Confusion | None, accuracy: float, loss: float
) -> None:
    """Have a device tell how good a version is on its own ten test pictures."""
    evaluation = {"version": version, "accuracy": accuracy, "loss": loss, "num_samples": 10}
    told = {"num_samples": 10, "evaluation": evaluation | {"confusion": confusion}}
    assert device.status(tasks={"digits": told}).status_code == 200


@pytest.fixture
def other(device: ThinDevice) -> ThinDevice:
    other = ThinDevice(device.client, "device2")
    other.status()
    return other


@pytest.fixture
def grown(device: ThinDevice, other: ThinDevice) -> ThinDevice:
    """Two rounds; two devices have measured both versions."""
    close_round(device, 1.0, 0)
    measure(device, 1, [(0, 0, 3), (0, 1, 2), (1, 0, 3), (1, 1, 2)], 0.5, 0.9)
    measure(other, 1, [(0, 0, 5), (1, 1, 5)], 1.0, 0.1)
    other.send(other.update(filled(2.0), base_version=1, num_samples=30))
    close_round(device, 2.0, 1)
    measure(device, 2, [(0, 0, 5), (1, 0, 1), (1, 1, 4)], 0.9, 0.4)
    measure(other, 2, [(0, 0, 5), (1, 0, 1), (1, 1, 4)], 0.9, 0.2)
    return device


def test_two_rounds_side_by_side(grown: ThinDevice) -> None:
    told = tables(grown.client, "/compare")
    whole = {row[0]: row[1:] for row in told["As a whole"]}
    assert whole["Of the round"] == ["Round 1", "Round 2", "Change"]
    assert whole["Federated accuracy"] == ["75.0 %", "90.0 %", "▲ +15.0 points better"]
    assert whole["Federated loss"] == ["0.500", "0.300", "▲ -0.200 better"]
    assert whole["Test pictures"] == ["20", "20", "the same"]
    assert whole["Updates"] == ["1", "2", "+1 more"]
    assert whole["Samples"] == ["10", "40", "+30 more"]
    assert whole["Received"][2].startswith("+")
    assert whole["Received"][2].endswith("kB more")
    assert whole["Strategy"] == ["FedAvg", "FedAvg", "the same"]
    assert whole["Versions"] == ["0 → 1", "1 → 2", ""]
    assert told["On each device"][1:] == [
        ["device1"],
        ["Accuracy", "50.0 %", "90.0 %", "▲ +40.0 points better"],
        ["Loss", "0.900", "0.400", "▲ -0.500 better"],
        ["Samples", "10", "10", "the same"],
        ["device2"],
        ["Accuracy", "100.0 %", "90.0 %", "▼ -10.0 points worse"],
        ["Loss", "0.100", "0.200", "▼ +0.100 worse"],
        ["Samples", "–", "30", ""],
    ]
    assert told["Recall of each class"][1:] == [
        ["0", "80.0 %", "100.0 %", "▲ +20.0 points better"],
        ["1", "70.0 %", "80.0 %", "▲ +10.0 points better"],
    ]
    assert told["Taken for another most often"][1:] == [
        ["1 taken for 0", "3", "2", "-1 fewer"],
        ["0 taken for 1", "2", "0", "-2 fewer"],
    ]
    assert told["What was taken for what in round 1"] == [
        ["Class", "0", "1"],
        ["0", "8", "2"],
        ["1", "3", "7"],
    ]


def test_devices_that_counted_as_unchanged_are_told(grown: ThinDevice) -> None:
    server = grown.client.application.extensions["fedbell"]
    with server.database.write() as session:
        session.get(Round, server.rounds.get("digits", 2).id).unchanged = {"device3": 5}
    told = tables(grown.client, "/compare")["As a whole"]
    assert ["Devices counted as unchanged", "0", "1", "+1 more"] in told


def test_the_other_way_round(grown: ThinDevice) -> None:
    told = tables(grown.client, "/compare?left=2&right=1")
    assert told["As a whole"][1] == [
        "Federated accuracy",
        "90.0 %",
        "75.0 %",
        "▼ -15.0 points worse",
    ]


def test_a_round_beside_itself_is_the_same(grown: ThinDevice) -> None:
    told = tables(grown.client, "/compare?left=2&right=2")
    changes = {row[-1] for name in told for row in told[name][1:] if name.startswith(("As", "On"))}
    assert changes <= {"the same", "device1", "device2", ""}


def test_without_a_choice_rounds_without_a_version_are_left_out(grown: ThinDevice) -> None:
    grown.send(grown.update(filled(3.0), base_version=2))
    assert tables(grown.client, "/compare")["As a whole"][0][1:3] == ["Round 1", "Round 2"]
    assert tables(grown.client, "/compare?right=2")["As a whole"][0][1:3] == ["Round 1", "Round 2"]
    assert tables(grown.client, "/compare?left=1&right=")["As a whole"][0][1:3] == [
        "Round 1",
        "Round 2",
    ]


def test_an_open_and_an_abandoned_round_say_what_is_missing(grown: ThinDevice) -> None:
    client = grown.client
    grown.send(grown.update(filled(3.0), base_version=2))
    path = "/compare?left=2&right=3"
    assert "Round 3 is open: it has no version." in client.get(path).text
    told = tables(client, path)
    assert told["As a whole"][1] == ["Federated accuracy", "90.0 %", "–", ""]
    assert ["Versions", "1 → 2", "2 → –", ""] in told["As a whole"]
    assert told["Recall of each class"][1] == ["0", "100.0 %", "–", ""]
    assert told["Taken for another most often"][1] == ["1 taken for 0", "2", "–", ""]
    client.post("/models/0/promote")
    assert "Round 3 was abandoned: it has no version." in client.get(path).text


def test_what_was_measured_before_confusions_were_kept(
    device: ThinDevice, other: ThinDevice
) -> None:
    close_round(device, 1.0, 0)
    page = device.client.get("/compare").text
    assert "No device has measured version 1." in page
    measure(device, 1, None, 0.5, 0.9)
    page = device.client.get("/compare").text
    assert "Version 1 was measured before confusions were kept" in page
    assert "Not known for either round." in page
    measure(other, 1, [(0, 0, 5), (1, 1, 5)], 1.0, 0.1)
    page = device.client.get("/compare").text
    assert "What is told of single classes in version 1 is without device1." in page
    told = tables(device.client, "/compare")
    assert told["Recall of each class"][1] == ["0", "100.0 %", "100.0 %", "the same"]
    assert told["As a whole"][1][1] == "75.0 %"


def test_before_the_first_round(device: ThinDevice) -> None:
    assert "There is no round yet." in device.client.get("/compare").text


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/compare?left=1&right=9", 404, "There is no round 9 of task digits; the newest is"),
        ("/compare?left=0", 404, "There is no round 0"),
        ("/compare?left=many", 400, "left"),
        ("/compare?left=99999999999999999999", 400, "left"),
        ("/weights?version=9", 404, "There is no version 9 of task digits"),
        ("/weights?version=2&since=9", 404, "There is no version 9 of task digits"),
        ("/weights?version=-1", 400, "version"),
        ("/weights?task=nothing", 404, "There is no task nothing"),
    ],
)
def test_what_is_not_there(grown: ThinDevice, path: str, status: int, told: str) -> None:
    answer = grown.client.get(path, headers=FORM)
    assert answer.status_code == status
    assert told in answer.text


def test_many_classes_have_no_matrix_but_what_is_confused_most(
    make_app: Callable[..., APIFlask], tmp_path: Path
) -> None:
    names = ", ".join(f'"class {number:02}"' for number in range(40))
    (tmp_path / "tasks.toml").write_text(f"[tasks.digits]\nclasses = [{names}]\n")
    device = ThinDevice(make_app().test_client(), "device1")
    device.status()
    device.offer()
    close_round(device, 1.0, 0)
    measure(device, 1, [(0, 0, 2), (7, 8, 5), (39, 0, 1), (39, 1, 2)], 0.2, 2.0)
    told = tables(device.client, "/compare")
    assert not [name for name in told if name.startswith("What was taken")]
    assert "40 classes are too many" in device.client.get("/compare").text
    assert [row[0] for row in told["Taken for another most often"][1:]] == [
        "class 07 taken for class 08",
        "class 39 taken for class 01",
        "class 39 taken for class 00",
    ]
    recalls = {row[0]: row[1] for row in told["Recall of each class"][1:]}
    assert len(recalls) == 40
    assert (recalls["class 00"], recalls["class 07"], recalls["class 01"]) == (
        "100.0 %",
        "0.0 %",
        "–",
    )


def test_names_of_classes_are_text(make_app: Callable[..., APIFlask], tmp_path: Path) -> None:
    (tmp_path / "tasks.toml").write_text('[tasks.digits]\nclasses = ["<i>cat", "dog"]\n')
    device = ThinDevice(make_app().test_client(), "device1")
    device.status()
    device.offer()
    close_round(device, 1.0, 0)
    measure(device, 1, [(0, 0, 9), (0, 1, 1)], 0.9, 0.5)
    page = device.client.get("/compare").text
    assert "&lt;i&gt;cat" in page
    assert "<i>" not in page


def test_shades_tell_the_part_of_a_row() -> None:
    row = Round(task="digits", number=1, status="distributed", version=1, updates=[])
    confusion = [(0, 0, 99), (0, 1, 1), (1, 1, 4)]
    matrix = RoundResults(row, None, {}, confusion, "").matrix(3)
    assert [[cell.count for cell in line] for line in matrix] == [[99, 1, 0], [0, 4, 0], [0, 0, 0]]
    shades = [[cell.shade for cell in line] for line in matrix]
    assert shades == [[SHADES, 1, 0], [0, SHADES, 0], [0, 0, 0]]
    assert [cell.is_right for cell in matrix[1]] == [False, True, False]


def test_weights_before_and_after_a_round(grown: ThinDevice) -> None:
    told = tables(grown.client, "/weights")
    rows = told["Statistics of version 1, of version 2 and of the change, per layer"]
    assert rows[0] == ["Layer", "Of", "Mean", "Median", "Standard deviation", "Minimum", "Maximum",
                       "Norm"]  # fmt: skip
    assert rows[1] == ["All layers8 numbers", "version 1", "1", "1", "0", "1", "1", "2.828"]
    assert rows[2] == ["version 2", "2", "2", "0", "2", "2", "5.657"]
    assert rows[3] == ["change", "1", "1", "0", "1", "1", "2.828"]
    assert rows[4][:2] == ["head/bias2 numbers", "version 1"]
    assert rows[7][:2] == ["head/kernel3 × 2 = 6 numbers", "version 1"]
    bars = told["How many weights lie in each bar"]
    assert bars[0] == ["From", "To", "Version 1", "Version 2"]
    assert bars[1][2:] == ["8", "0"]
    assert bars[-1][2:] == ["0", "8"]
    page = grown.client.get("/weights").text
    assert "100.0\N{NO-BREAK SPACE}% of that of version 1" in page
    assert "<svg" in page
    assert "Federated accuracy of version 1: <strong>75.0" in page


def test_any_two_versions(grown: ThinDevice) -> None:
    told = tables(grown.client, "/weights?version=2&since=0")
    rows = told["Statistics of version 0, of version 2 and of the change, per layer"]
    assert rows[-1] == ["change", "-0.5", "-0.5", "1.708", "-3", "2", "4.359"]
    assert "one version" in grown.client.get("/weights?version=1&since=1").text
    first = grown.client.get("/weights?version=0&since=").text
    assert "Where training began" in first
    assert "Weights of version 0" in first


def test_from_the_page_an_older_version_is_promoted(grown: ThinDevice) -> None:
    client = grown.client
    assert "It is the newest one" in client.get("/weights").text
    page = client.get("/weights?version=1").text
    assert "Promote version 1: the next round starts from it" in page
    assert 'action="/models/1/promote?task=digits"' in page
    assert "is abandoned" not in page
    grown.send(grown.update(filled(3.0), base_version=2))
    page = client.get("/weights?version=1").text
    assert "Round 3 is open and is abandoned then: its 1 update does not count." in page
    assert client.post("/models/1/promote?task=digits", headers=FORM).status_code == 303
    page = client.get("/weights").text
    assert "Weights of version 3" in page
    assert 'version=1">version 1</a> again' in page


def test_before_the_first_version(client: FlaskClient) -> None:
    assert "There is no version yet" in client.get("/weights").text


@pytest.mark.parametrize("path", ["/compare", "/weights", "/weights?version=0"])
def test_nothing_is_inline_and_nothing_is_elsewhere(grown: ThinDevice, path: str) -> None:
    answer = grown.client.get(path)
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert " style=" not in answer.text
    assert "<style" not in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text


def test_rounds_of_fifty_devices_are_compared(
    make_app: Callable[..., APIFlask], state: Path, tmp_path: Path
) -> None:
    classes = ", ".join(f'"{number}"' for number in range(10))
    (tmp_path / "tasks.toml").write_text(f"[tasks.digits]\nclasses = [{classes}]\nseed = 7\n")
    fill(state, rounds=100)
    client = make_app().test_client()
    assert "device50" in client.get("/compare?left=10&right=90").text


def test_a_confusion_of_more_classes_than_the_task_has_is_no_error(grown: ThinDevice) -> None:
    """The task may have had more before; the network decides, the page only shows."""
    store = grown.client.application.extensions["fedbell"].database
    with store.write() as session:
        row = session.get(Evaluation, ("digits", 2, "device1"))
        row.confusion = [[0, 5, 4], [7, 0, 6]]
    assert grown.client.get("/compare").status_code == 200
