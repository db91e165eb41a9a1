"""What can go wrong on a device, with real servers. The tests of this module follow one another."""

import json
import os
import signal
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.federated.weights import open_weights, read_weights, write_weights
from tests.device.processes import INSTALL, SEND, TRAIN, Connection, dataset, wait_for_version
from tests.server import Server, wait_until


@pytest.fixture(scope="module", autouse=True)
def _first_round(device: Server, main_server: Server) -> None:
    wait_for_version(device, 0)
    device.post(TRAIN)
    device.post(SEND)
    main_server.post("/aggregate_models?task=shades")
    main_server.post("/send_model_clients?task=shades")
    wait_for_version(device, 1)


def test_unreadable_pictures_are_skipped_and_named(device: Server) -> None:
    bad = dataset(device) / "shades" / "train" / "dark" / "broken.jpg"
    bad.write_bytes(b"no picture")
    trained = device.post(TRAIN).json()
    assert trained["num_samples"] == 20
    assert trained["skipped"] == 1
    assert "broken" not in str(trained)  # names stay here
    assert "train/dark/broken.jpg" in device.http.get("/").text
    bad.unlink()


def test_unreadable_test_pictures_are_named_until_they_are_gone(device: Server) -> None:
    bad = dataset(device) / "shades" / "test" / "dark" / "broken.jpg"
    bad.write_bytes(b"no picture")
    name = "test/dark/broken.jpg"
    assert device.do(TRAIN)["skipped"] == 1
    device.post(INSTALL, {"version": 0})
    told = device.do(INSTALL, {"version": 1})  # another one than was installed: measured again
    assert told["evaluation"]["num_samples"] == 12
    assert told["skipped"] == 1
    assert device.do(INSTALL, {"version": 1}) == told
    (unreadable,) = device.task("shades")["skipped"]
    assert unreadable["picture"] == name
    assert unreadable["reason"].startswith("It is neither a JPEG nor a PNG")
    assert device.task("shades")["problem"] is None
    assert "1 skipped.</strong> These test pictures cannot be read" in device.http.get("/").text
    bad.unlink()
    device.post(INSTALL, {"version": 0})
    assert device.do(INSTALL, {"version": 1})["skipped"] == 0
    assert device.task("shades")["skipped"] == []


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
    assert "exotic.safetensors" in device.http.get("/?task=exotic").text
    refused = device.post("/modeltrain?task=exotic")
    assert refused.json()["type"] == "urn:fedbell:problem:backbone-missing"
    rows = main_server.http.get("/devices").json()["devices"]
    assert "exotic.safetensors" in json.dumps(rows)


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


@pytest.mark.parametrize("damage", ["gone", "cut", "nan"])
def test_an_installed_model_that_is_damaged_is_fetched_anew(device: Server, damage: str) -> None:
    (installed,) = (device.state / "models").glob("shades-*")
    content = bytearray(installed.read_bytes())
    if damage == "gone":
        installed.unlink()
    else:
        content[-4:] = np.float32(np.nan).tobytes()
        installed.write_bytes(bytes(content[:-50] if damage == "cut" else content))
    trained = device.do(TRAIN)
    assert (trained["base_version"], trained["base"]) == (1, "newest")
    (fetched,) = (device.state / "models").glob("shades-*")
    assert fetched != installed
    with open_weights(fetched) as weights:
        weights.check_finite()


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
    wait_until(lambda: "The trainer died" in device.http.get("/").text)
    assert device.post(TRAIN).status_code == 200


def _ended(device: Server, address: str) -> Any:
    job = device.http.get(address).json()
    return job if job["status"] != "running" else None


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
    assert wait_for_version(device, 3)["pending"]["sent"] is True


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
    assert wait_for_version(device, 0)["pending"] is None
    refused = device.post(SEND)
    assert refused.json()["type"] == "urn:fedbell:problem:nothing-to-send"


def test_no_test_pictures(device: Server, connection: Connection, main_server: Server) -> None:
    test = dataset(device) / "shades" / "test"
    test.rename(test.with_name("elsewhere"))
    connection.connect(main_server.url)
    problem = wait_until(lambda: device.task("shades")["problem"])
    assert "Version 3 is installed" not in problem
    assert str(test) in problem
    task = device.task("shades")
    assert (task["version"], task["evaluation"], task["can_train"]) == (3, None, True)
    told = device.do(INSTALL, {"version": 3})
    assert (told["installed"], told["evaluation"]) == (True, None)
    assert told["reservation"].startswith("Version 3 is installed, but could not be measured")
    assert str(test) in told["reservation"]
    page = device.http.get("/").text
    assert "There is no picture to test on yet" in page
    assert "cannot be trained here" not in page
    assert "set what a picture below is for to" in page
    assert device.do(TRAIN)["evaluation"] is None
    assert device.status()["main_server"]["problem"] is None

    def takes_part() -> bool:
        rows = {each["name"]: each for each in main_server.get("/devices")["devices"]}
        told = rows["device1"]["tasks"]["shades"]
        says_so = str(test) in (told["reservation"] or "")
        return bool((told["version"], told["problem"], says_so) == (3, None, True))

    wait_until(takes_part)
    test.with_name("elsewhere").rename(test)
    assert wait_for_version(device, 3)["evaluation"]["num_samples"] == 12  # by itself
    assert device.task("shades")["problem"] is None


def test_a_failed_training_is_told_of_until_one_went_well(device: Server) -> None:
    folder = dataset(device) / "shades" / "train"
    aside = folder.rename(folder.with_name("aside"))
    assert device.post(TRAIN).status_code == 409
    aside.rename(folder)
    device.do(INSTALL, {"version": 1})
    last = device.task("shades")["last_job"]
    assert (last["kind"], last["status"]) == ("modeltrain", "failed")
    told = last["problem"]["detail"]
    wait_until(lambda: told in unescape(device.http.get("/").text))  # while nothing runs
    device.do(TRAIN)
    assert device.task("shades")["last_job"]["status"] == "done"
