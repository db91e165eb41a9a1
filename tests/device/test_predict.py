"""Trying the model on a picture, with a real device. The tests follow one another."""

from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from tests.device.processes import INSTALL, TRAIN, Connection, dataset, wait_for_version
from tests.server import Server, wait_until


def picture(brightness: int, seed: int = 0) -> bytes:
    """A noisy PNG file, dark or light."""
    pixels = np.random.default_rng(seed).normal(brightness, 25, (40, 40, 3)).clip(0, 255)
    return cv2.imencode(".png", pixels.astype(np.uint8))[1].tobytes()


def ask(device: Server, content: bytes, query: str = "?task=shades") -> httpx.Response:
    return device.post(f"/predict{query}", files={"picture": ("mine.png", content)})


def tried(device: Server) -> list[Path]:
    """The files of all uploaded pictures."""
    return list((device.state / "pictures").rglob("*.png"))


@pytest.fixture(scope="module", autouse=True)
def _learned(device: Server, main_server: Server) -> None:
    wait_for_version(device, 0)
    device.do(TRAIN, {"epochs": 300, "learning_rate": 0.05})
    device.do("/sendmodel?task=shades")
    main_server.do("/aggregate_models?task=shades")
    main_server.do("/send_model_clients?task=shades")
    wait_for_version(device, 1)


def test_the_installed_version_says_what_it_sees(device: Server) -> None:
    for brightness, name in ((40, "dark"), (210, "light")):
        answer = ask(device, picture(brightness))
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["task"], told["version"]) == ("shades", 1)
        assert told["classes"][0]["name"] == name, device.task("shades")["evaluation"]
        chances = [guess["probability"] for guess in told["classes"]]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) == pytest.approx(1)
        seconds = told["seconds"]
        assert 0 < seconds["decode"] + seconds["model"] < seconds["total"]
        assert "picture" not in told
    assert not tried(device)
    assert not list((device.state / "incoming").iterdir())


def test_it_answers_while_a_training_goes_on(device: Server) -> None:
    job = device.begin(TRAIN, {"epochs": 1000, "batch_size": 1})

    def epoch() -> int:
        return int((device.get(job)["progress"] or {}).get("epoch", 0))

    before = wait_until(epoch)
    for seed in range(5):
        answer = ask(device, picture(40, seed))
        assert answer.json()["classes"][0]["name"] == "dark", answer.text
    assert device.get(job)["status"] == "running"
    wait_until(lambda: epoch() > before)
    device.post(f"{job}/cancel")
    assert device.ended(job)["status"] == "cancelled"


def test_a_tried_picture_is_kept_to_be_labelled(device: Server) -> None:
    kept = ask(device, picture(40, 7), "?task=shades&keep=1").json()["picture"]
    assert [path.stem for path in tried(device)] == [kept]
    before = device.task("shades")
    told = before["uploads"]
    assert (told["total"], told["unlabelled"], told["untrained"]) == (0, 0, 0)
    answer = device.http.patch(f"/pictures/shades/{kept}", json={"label": "unseen"})
    assert answer.is_success, answer.text
    after = device.task("shades")
    assert after["uploads"] == told | {"total": 1, "untrained": 1}
    assert after["classes"]["unseen"] == {"train": 1, "valid": 0, "test": 0}
    assert after["num_samples"]["train"] == before["num_samples"]["train"] + 1


def test_only_the_newest_tried_ones_stay(device: Server) -> None:
    ids = [
        ask(device, picture(40, 100 + seed), "?task=shades&keep=1").json()["picture"]
        for seed in range(22)
    ]
    labelled = [path.stem for path in tried(device) if path.stem not in ids]
    assert len(labelled) == 1
    assert {path.stem for path in tried(device)} == {*labelled, *ids[-20:]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"GIF89a" + b"\0" * 60, "GIF"),
        (picture(40)[:-20], ""),
        (b"\xff\xd8\xff" + b"\0" * 100, ""),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(
    device: Server, content: bytes, told: str
) -> None:
    refused = ask(device, content)
    assert refused.status_code == 422, refused.text
    assert told in refused.json()["detail"]
    assert not list((device.state / "incoming").iterdir())


def test_calls_that_are_wrong(device: Server) -> None:
    both = [("picture", ("a.png", picture(40))), ("picture", ("b.png", picture(40)))]
    assert "2 came" in device.post("/predict", files=both).json()["detail"]
    none = device.post("/predict", files={"pictures": ("a.png", picture(40))})
    assert (none.status_code, "0 came" in none.text) == (400, True)
    assert "multipart/form-data" in device.post("/predict", {"picture": 1}).json()["detail"]
    assert ask(device, picture(40), "?task=nonsense").status_code == 404


def test_a_task_without_a_model(device: Server) -> None:
    refused = ask(device, picture(40), "?task=barren")
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:fedbell:problem:no-model-yet"
    assert "barren" in refused.json()["detail"]


def test_nothing_of_it_was_sent(device: Server, connection: Connection) -> None:
    ask(device, picture(40, 5), "?task=shades&keep=1")
    device.do(INSTALL, {"version": 1})
    assert dataset(device).is_dir()
    for call, body in connection.sent:
        assert picture(40, 5)[60:120] not in body, call


def test_the_version_that_answers_is_the_one_that_is_installed(
    device: Server, main_server: Server
) -> None:
    def told() -> Any:
        return ask(device, picture(40)).json()["version"]

    # Not by installing an older one: the next heartbeat would bring the distributed one back.
    assert told() == 1
    device.do(TRAIN, {"epochs": 1})
    device.do("/sendmodel?task=shades")
    main_server.do("/aggregate_models?task=shades")
    assert told() == 1
    main_server.do("/send_model_clients?task=shades")
    assert told() == 2
