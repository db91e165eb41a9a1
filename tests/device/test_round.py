"""A device's part in rounds, with real servers. The tests of this module follow one another."""

import json
import os
import signal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from shared.federated.update import UpdateHeader
from shared.federated.weights import open_weights, read_weights, write_weights
from tests.device.processes import Connection, Server, wait_until

TRAIN, SEND, INSTALL = "/modeltrain?task=shades", "/sendmodel?task=shades", "/aggmodel?task=shades"


def version(device: Server, number: int) -> Any:
    """The status of task shades once version ``number`` is installed and measured."""

    def installed() -> Any:
        task = device.task("shades")
        evaluation = task and task["evaluation"]
        return task if evaluation and evaluation["version"] == number else None

    return wait_until(installed)


def dataset(device: Server) -> Path:
    return device.state.parent / "dataset"


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
    assert version(device, 0)["evaluation"]["num_samples"] == 12
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
    assert (trained["num_samples"], trained["epochs"], trained["skipped"]) == (20, 3, [])
    assert sorted(trained["history"]) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert all(len(values) == 3 for values in trained["history"].values())
    plot = device.http.get("/plots/training.svg?task=shades")
    assert plot.headers["Content-Type"].startswith("image/svg+xml")
    assert b"<svg" in plot.content


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
    for call, body in connection.sent:
        for picture in dataset(device).rglob("*.png"):
            assert picture.read_bytes()[60:120] not in body, call


def test_sent_twice_is_the_same_answer(device: Server, connection: Connection) -> None:
    before = len(connection.sent)
    assert device.post(SEND).json() == device.post(SEND).json()
    assert not [call for call, _ in connection.sent[before:] if call.startswith("POST /cmodel")]


def test_a_whole_round(device: Server, main_server: Server) -> None:
    assert main_server.post("/aggregate_models?task=shades").json()["version"] == 1
    answer = main_server.post("/send_model_clients?task=shades").json()
    told = answer["devices"]["device1"]
    assert (told["version"], told["installed"]) == (1, True)
    assert told["evaluation"]["accuracy"] > 0.8
    assert version(device, 1)["evaluation"]["accuracy"] == told["evaluation"]["accuracy"]
    assert device.post(INSTALL, {"version": 1}).json()["evaluation"] == told["evaluation"]
    assert len(list((device.state / "models").iterdir())) == 1
    assert device.post(TRAIN).json()["base_version"] == 1


def test_a_version_that_is_not_there(device: Server) -> None:
    refused = device.post(INSTALL, {"version": 77})
    assert refused.status_code == 404
    assert device.task("shades")["version"] == 1


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ({"metadata": {"fingerprint": "0" * 64}}, "another network or backbone"),
        ({"metadata": {"task": "digits"}}, "something else than a model"),
        ({"metadata": {"version": "5"}}, "version 5 instead of 0"),
        ({"metadata": {"federation": "other"}}, "another federation"),
        ({"number": np.nan}, "NaN or infinity"),
        ({"length": 300}, "not a whole safetensors file"),
        ({"shape": (2, 2)}, "another network or backbone"),
    ],
)
def test_a_model_that_is_not_what_it_should_be_is_not_installed(
    device: Server,
    connection: Connection,
    tmp_path: Path,
    damage: dict[str, Any],
    told: str,
) -> None:
    def tamper(content: bytes) -> bytes:
        file = tmp_path / "model"
        file.write_bytes(content)
        weights = read_weights(file)
        with open_weights(file) as opened:
            metadata = opened.metadata | damage.get("metadata", {})
        first = min(weights)
        if "number" in damage:
            weights[first].flat[0] = damage["number"]
        if "shape" in damage:
            weights[first] = np.zeros(damage["shape"], np.float32)
        write_weights(file, weights, metadata)
        return file.read_bytes()[: damage.get("length")]

    connection.tamper = tamper
    refused = device.post(INSTALL, {"version": 0})
    connection.tamper = None
    assert refused.status_code == 502, refused.text
    assert told in refused.json()["detail"]
    assert device.task("shades")["version"] == 1
    assert not list((device.state / "incoming").iterdir())


def test_a_job_is_followed_and_cancelled(device: Server) -> None:
    started = device.post(TRAIN, {"epochs": 1000}, headers={"Prefer": "respond-async"})
    assert started.status_code == 202
    address = started.headers["Location"]
    wait_until(lambda: (device.http.get(address).json()["progress"] or {}).get("epoch", 0) > 1)
    assert device.task("shades")["job"]["progress"]["phase"] == "training"

    second = device.post(TRAIN)
    assert second.status_code == 409
    assert second.json()["type"] == "urn:fedbell:problem:training-running"
    page = device.http.get("/").text
    assert "of 1000" in page
    assert 'http-equiv="refresh"' in page

    device.post(f"{address}/cancel")
    wait_until(lambda: device.http.get(address).json()["status"] != "running")
    assert device.http.get(address).json()["status"] == "cancelled"
    assert device.task("shades")["pending"]["base_version"] == 1


def test_a_killed_trainer_fails_its_job_and_the_next_training_works(device: Server) -> None:
    started = device.post(TRAIN, {"epochs": 1000}, headers={"Prefer": "respond-async"})
    address = started.headers["Location"]
    wait_until(lambda: device.http.get(address).json()["progress"])
    os.kill(device.status()["trainer"]["pid"], signal.SIGKILL)
    job = wait_until(lambda: _ended(device, address))
    assert job["status"] == "failed"
    assert job["problem"]["type"] == "urn:fedbell:problem:trainer-died"
    assert "SIGKILL" in job["problem"]["detail"]
    assert "fresh trainer" in job["problem"]["detail"]
    assert "The trainer died" in device.http.get("/").text
    assert device.post(TRAIN).status_code == 200


def _ended(device: Server, address: str) -> Any:
    job = device.http.get(address).json()
    return job if job["status"] != "running" else None


def test_unreadable_pictures_are_skipped_and_named(device: Server) -> None:
    bad = dataset(device) / "shades" / "train" / "dark" / "broken.jpg"
    bad.write_bytes(b"no picture")
    trained = device.post(TRAIN).json()
    assert trained["num_samples"] == 20
    assert [skipped["picture"] for skipped in trained["skipped"]] == ["train/dark/broken.jpg"]
    assert "train/dark/broken.jpg" in device.http.get("/").text
    bad.unlink()


def test_a_folder_that_is_no_class(device: Server) -> None:
    folder = dataset(device) / "shades" / "train" / "purple"
    folder.mkdir()
    assert "purple" in device.task("shades")["problem"]
    refused = device.post(TRAIN)
    assert refused.status_code == 409
    assert "purple" in refused.json()["detail"]
    folder.rmdir()
    assert device.task("shades")["problem"] is None


def test_a_task_without_pictures_and_one_without_its_backbone(
    device: Server, main_server: Server
) -> None:
    assert "no picture to train on" in device.task("barren")["problem"]
    problem = wait_until(lambda: device.task("exotic")["problem"])
    assert "exotic.safetensors" in problem
    assert "backbones" in problem
    assert "exotic.safetensors" in device.http.get("/").text
    refused = device.post("/modeltrain?task=exotic")
    assert refused.json()["type"] == "urn:fedbell:problem:backbone-missing"
    rows = main_server.http.get("/devices").json()["devices"]
    assert "exotic.safetensors" in json.dumps(rows)


def test_the_page_needs_no_script(device: Server) -> None:
    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.forms: list[str] = []
            self.bad: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            values = dict(attrs)
            if tag in {"script", "style"} or "style" in values:
                self.bad.append(tag)
            self.bad += [name for name in values if name.startswith("on")]
            if tag == "form":
                self.forms.append(str(values["action"]))
            for name in ("src", "href"):
                if tag in {"link", "img"} and name in values:
                    address = str(values[name])
                    assert address.startswith("/")
                    assert device.http.get(address).is_success, address

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


def test_a_stale_update_is_refused_in_the_main_servers_words(
    device: Server, main_server: Server, tmp_path: Path
) -> None:
    (ours,) = (device.state / "updates").iterdir()
    with open_weights(ours) as update:
        metadata = update.metadata | {"device": "neighbour"}
    write_weights(tmp_path / "theirs", read_weights(ours), metadata)
    token = {"Authorization": "Bearer " + "n" * 43}
    status = {
        "device": "neighbour",
        "url": "http://127.0.0.1:9",
        "tasks": {"shades": {"num_samples": 20}},
    }
    assert main_server.post("/clientstatus", status, headers=token).is_success
    sent = main_server.http.post(
        "/cmodel?task=shades", content=(tmp_path / "theirs").read_bytes(), headers=token
    )
    assert sent.is_success, sent.text
    assert main_server.post("/aggregate_models?task=shades").json()["version"] == 2

    refused = device.post(SEND)
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:fedbell:problem:stale-update"
    assert device.task("shades")["pending"]["sent"] is False
    assert device.post(TRAIN).json()["base_version"] == 2


def test_the_main_server_goes_away_and_comes_back(
    device: Server, main_server: Server, connection: Connection
) -> None:
    connection.cut()
    wait_until(lambda: device.status()["main_server"]["reachable"] is False)
    trained = device.post(TRAIN).json()
    assert (trained["base_version"], trained["base"]) == (2, "installed")
    assert connection.url in trained["reservation"]
    away = device.post(SEND)
    assert away.status_code == 503
    assert connection.url in away.json()["detail"]
    assert device.task("shades")["pending"]["sent"] is False
    assert connection.url in device.http.get("/").text
    assert device.log.read_text().count("This device keeps trying") == 1

    connection.connect(main_server.url)
    assert device.post(SEND).json()["round"] == 3
    wait_until(lambda: device.status()["main_server"]["reachable"])


def test_it_catches_up_with_what_was_distributed_while_it_was_away(
    device: Server, main_server: Server, connection: Connection
) -> None:
    assert main_server.post("/aggregate_models?task=shades").json()["version"] == 3
    connection.cut()
    device.kill()
    failed = main_server.post("/send_model_clients?task=shades")
    assert "device1" in failed.text
    device.start()
    assert device.task("shades")["version"] == 2
    connection.connect(main_server.url)
    assert version(device, 3)["pending"]["sent"] is True


def test_kill_9_of_the_worker_ends_its_trainer(device: Server) -> None:
    trainer = device.status()["trainer"]["pid"]
    device.kill()
    wait_until(lambda: not Path(f"/proc/{trainer}").exists() or _is_zombie(trainer))
    device.start()
    assert device.task("shades")["version"] == 3


def _is_zombie(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_another_federation(
    device: Server, connection: Connection, other_main_server: Server
) -> None:
    device.post(TRAIN)
    connection.connect(other_main_server.url)
    assert version(device, 0)["pending"] is None
    refused = device.post(SEND)
    assert refused.json()["type"] == "urn:fedbell:problem:nothing-to-send"


def test_no_test_pictures(device: Server, connection: Connection, main_server: Server) -> None:
    test = dataset(device) / "shades" / "test"
    test.rename(test.with_name("elsewhere"))
    connection.connect(main_server.url)
    problem = wait_until(lambda: device.task("shades")["problem"])
    assert "Version 3 is installed" not in problem
    assert str(test) in problem
    assert device.task("shades")["version"] == 3
    refused = device.post(INSTALL, {"version": 3})
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:fedbell:problem:not-evaluated"
    assert refused.json()["detail"].startswith("Version 3 is installed")
    test.with_name("elsewhere").rename(test)
    assert device.post(INSTALL, {"version": 3}).json()["evaluation"]["num_samples"] == 12
    assert device.task("shades")["problem"] is None


@pytest.mark.parametrize("call", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"])
def test_the_usual_calls(device: Server, call: str) -> None:
    assert device.http.get(call).is_success


def test_an_unknown_host(device: Server) -> None:
    answer = httpx.get(f"{device.url}/status", headers={"Host": "evil.example"}, trust_env=False)
    assert answer.status_code == 400
