"""A device's part in rounds, with real servers. The tests of this module follow one another."""

from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from typing import Any

import httpx
import numpy as np
import pytest

from shared.federated.update import UpdateHeader
from shared.federated.weights import open_weights, read_weights
from tests.device.processes import INSTALL, SEND, TRAIN, Connection, dataset, wait_for_version
from tests.server import Server, wait_until


def test_it_answers_before_tensorflow_is_there_and_learns_its_tasks(device: Server) -> None:
    assert device.status()["trainer"]["state"] in {"starting", "busy", "ready"}
    wait_until(lambda: device.task("shades"))
    status = device.status()
    assert list(status["tasks"]) == ["shades", "barren", "exotic"]
    assert status["main_server"]["reachable"] is True
    assert status["tasks"]["shades"]["num_samples"] == {"train": 20, "valid": 8, "test": 12}
    assert oct((device.state / "token").stat().st_mode)[-3:] == "600"


def test_sending_before_training(device: Server) -> None:
    refused = device.post(SEND)
    assert refused.status_code == 409
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["type"] == "urn:fedbell:problem:nothing-to-send"
    assert "POST /modeltrain?task=shades" in refused.json()["detail"]
    assert device.http.get("/plots/training.svg?task=shades").status_code == 404


def test_it_offers_version_0_and_installs_it(device: Server, main_server: Server) -> None:
    assert wait_for_version(device, 0)["evaluation"]["num_samples"] == 12
    with open_weights(next((device.state / "models").iterdir())) as model:
        assert model.metadata["version"] == "0"
    assert main_server.http.get("/models/latest?task=shades").is_success


@pytest.mark.parametrize("call", ["/modeltrain", "/sendmodel", "/aggmodel"])
def test_unknown_task_and_wrong_method(device: Server, call: str) -> None:
    refused = device.post(f"{call}?task=nonsense")
    assert refused.status_code == 404
    assert "shades, barren, exotic" in refused.json()["detail"]
    assert "curl -X POST" in device.http.get(call).json()["detail"]
    assert device.post(f"{call}?tusk=shades").status_code == 400


@pytest.mark.parametrize("body", [{"epochs": 0}, {"speed": 1}, {"learning_rate": "quick"}])
def test_a_wrong_choice_is_named(device: Server, body: dict[str, Any]) -> None:
    refused = device.post(TRAIN, body)
    assert refused.status_code == 400
    assert next(iter(body)) in refused.json()["detail"]


def test_training_without_a_body(device: Server) -> None:
    answer = device.post(TRAIN)
    assert answer.status_code == 200, answer.text
    trained = answer.json()
    assert trained["task"] == "shades"
    assert (trained["base_version"], trained["base"]) == (0, "newest")
    assert (trained["num_samples"], trained["epochs"], trained["skipped"]) == (20, 3, 0)
    assert sorted(trained["history"]) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert all(len(values) == 3 for values in trained["history"].values())
    assert trained["evaluation"]["num_samples"] == 12  # of what it learned alone
    plot = device.http.get("/plots/training.svg?task=shades")
    assert plot.headers["Content-Type"].startswith("image/svg+xml")
    assert b"<svg" in plot.content
    known = {"If-None-Match": plot.headers["ETag"]}
    again = device.http.get("/plots/training.svg?task=shades", headers=known)
    assert (again.status_code, again.content) == (304, b"")


def test_the_same_training_again_gives_the_same_bits(device: Server) -> None:
    first = read_weights(next((device.state / "updates").iterdir()))
    device.post(TRAIN)
    (file,) = (device.state / "updates").iterdir()
    again = read_weights(file)
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_settings_of_one_call(device: Server) -> None:
    choice = {"epochs": 20, "batch_size": 4, "learning_rate": 0.02}
    trained = device.post(TRAIN, choice).json()
    assert {name: trained[name] for name in choice} == choice


def test_the_update_holds_what_it_should_and_no_picture(
    device: Server, connection: Connection
) -> None:
    answer = device.post(SEND)
    assert answer.json() == {
        "round": 1,
        "device": "device1",
        "num_samples": 20,
        "bytes": answer.json()["bytes"],
    }
    assert device.task("shades")["pending"]["sent"] is True
    (update,) = [body for call, body in connection.sent if call.startswith("POST /cmodel")]
    assert len(update) == answer.json()["bytes"]
    with open_weights(next((device.state / "updates").iterdir())) as kept:
        header = UpdateHeader.parse(kept.metadata)
    assert (header.device, header.base_version, header.num_samples) == ("device1", 0, 20)
    assert {len(values) for values in header.history.values()} == {20}  # epochs
    for call, body in connection.sent:
        for picture in dataset(device).rglob("*.png"):
            assert picture.read_bytes()[60:120] not in body, call


def test_sent_twice_is_the_same_answer(device: Server, connection: Connection) -> None:
    before = len(connection.sent)
    assert device.post(SEND).json() == device.post(SEND).json()
    assert not [call for call, _ in connection.sent[before:] if call.startswith("POST /cmodel")]


def test_sent_for_another_round(device: Server, connection: Connection) -> None:
    sent = device.do(SEND)
    assert device.do(SEND, {"round": 1}) == sent
    before = len(connection.sent)
    refused = device.post(SEND, {"round": 2})
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:fedbell:problem:nothing-to-send"
    assert "counts in round 1" in refused.json()["detail"]
    assert "POST /modeltrain?task=shades" in refused.json()["detail"]
    assert not [call for call, _ in connection.sent[before:] if call.startswith("POST /cmodel")]
    assert device.post(SEND, {"round": 0}).status_code == 400


def test_a_whole_round(device: Server, main_server: Server) -> None:
    before = wait_for_version(device, 0)["evaluation"]
    assert main_server.post("/aggregate_models?task=shades").json()["version"] == 1
    answer = main_server.post("/send_model_clients?task=shades").json()
    told = answer["devices"]["device1"]
    assert (told["version"], told["installed"]) == (1, True)
    assert told["evaluation"]["loss"] < before["loss"]
    assert wait_for_version(device, 1)["evaluation"]["loss"] == told["evaluation"]["loss"]
    again = device.do(INSTALL, {"version": 1})["evaluation"]
    assert again["loss"] == told["evaluation"]["loss"]
    assert len(list((device.state / "models").iterdir())) == 1
    stale = device.post(SEND)  # its update became version 1: it is no update of this round
    assert stale.status_code == 409
    assert stale.json()["type"] == "urn:fedbell:problem:nothing-to-send"
    assert "round 1" in stale.json()["detail"]
    assert device.post(TRAIN).json()["base_version"] == 1


def test_a_version_that_is_not_there(device: Server) -> None:
    refused = device.post(INSTALL, {"version": 77})
    assert refused.status_code == 404
    assert device.task("shades")["version"] == 1


def test_a_job_is_followed_and_cancelled(device: Server) -> None:
    long = {"epochs": 1000, "batch_size": 1}
    started = device.post(TRAIN, long, headers={"Prefer": "respond-async"})
    assert started.status_code == 202
    address = started.headers["Location"]
    wait_until(lambda: (device.http.get(address).json()["progress"] or {}).get("epoch", 0) > 1)
    assert device.task("shades")["job"]["progress"]["phase"] == "training"

    # More calls than the server has threads: none waits, and the device goes on answering.
    with ThreadPoolExecutor(20) as pool:
        refusals = list(pool.map(device.post, 7 * [INSTALL, SEND, TRAIN]))
    assert {refused.status_code for refused in refusals} == {409}
    told = {(refused.json()["type"], refused.json()["detail"]) for refused in refusals}
    ((kind, detail),) = told
    assert kind == "urn:fedbell:problem:step-running"
    assert detail.startswith("device1 is at modeltrain of task shades.")
    assert device.http.get("/healthz").is_success
    assert device.task("shades")["job"]["id"] == address.rpartition("/")[2]
    page = device.http.get("/").text
    assert "of 1000" in page
    assert 'http-equiv="refresh"' in page

    device.post(f"{address}/cancel")
    wait_until(lambda: device.http.get(address).json()["status"] != "running")
    assert device.http.get(address).json()["status"] == "cancelled"
    assert device.task("shades")["pending"]["base_version"] == 1


def test_the_page_needs_no_script(device: Server) -> None:
    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.forms: list[str] = []
            self.bad: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            values = dict(attrs)
            if tag == "style" or "style" in values or (tag == "script" and "src" not in values):
                self.bad.append(tag)
            self.bad += [name for name in values if name.startswith("on")]
            if tag == "form":
                self.forms.append(str(values["action"]))
            for name in ("src", "href"):
                if tag in {"link", "img", "script"} and name in values:
                    address = str(values[name])
                    assert address.startswith(("/", "data:"))
                    assert address.startswith("data:") or device.http.get(address).is_success

    answer = device.http.get("/")
    tags = Tags()
    tags.feed(answer.text)
    assert not tags.bad
    assert {TRAIN, SEND, INSTALL} <= set(tags.forms)
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_a_form_leads_back_to_the_page(device: Server) -> None:
    answer = device.http.post(TRAIN, headers={"Accept": "text/html", "Origin": device.url}, data={})
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/?task=shades")
    wait_until(lambda: device.task("shades")["job"] is None)
    foreign = device.http.post(TRAIN, headers={"Origin": "http://elsewhere"})
    assert foreign.status_code == 403


@pytest.mark.parametrize("call", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"])
def test_the_usual_calls(device: Server, call: str) -> None:
    assert device.http.get(call).is_success


def test_an_unknown_host(device: Server) -> None:
    answer = httpx.get(f"{device.url}/status", headers={"Host": "evil.example"}, trust_env=False)
    assert answer.status_code == 400
