"""A task that sees grey pictures, on a real device: coloured pictures are trained on and shown."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.federation import Federation
from tests.server import Server

TASKS = """
    [tasks.shades]
    classes = ["dark", "light"]
    architecture = "mnist_mlp"
    training = { epochs = 40, batch_size = 4, learning_rate = 0.02, optimizer = "sgd" }
"""


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    federation = Federation(tmp_path, TASKS, devices=("device1",))
    federation.write_pictures(train=8)
    try:
        federation.start()
        yield federation
    finally:
        federation.close()


def picture(brightness: int) -> bytes:
    pixels = np.random.default_rng(5).normal(brightness, 30, (50, 40, 3)).clip(0, 255)
    return cv2.imencode(".png", pixels.astype(np.uint8))[1].tobytes()


def say(device: Server, brightness: int) -> str:
    files = {"picture": ("mine.png", picture(brightness))}
    answer = device.post("/predict?task=shades", files=files)
    assert answer.is_success, answer.text
    return str(answer.json()["classes"][0]["name"])


def test_it_is_trained_sent_told_and_shown(federation: Federation) -> None:
    main, device = federation.main, federation.devices["device1"]
    for step in ("modeltrain", "sendmodel", "aggregate_models", "send_model_clients"):
        told = main.do(f"/{step}?task=shades")
    assert told["version"] == 1
    assert federation.caught_up("device1", version=1)["evaluation"]["accuracy"] > 0.9
    assert [say(device, brightness) for brightness in (50, 200)] == ["dark", "light"]

    history = device.do("/modeltrain?task=shades", {"optimizer": "adam", "epochs": 2})["history"]
    assert len(history["loss"]) == 2

    upload = [("pictures", ("mine.png", picture(60)))]
    kept = device.post("/pictures?task=shades", files=upload)
    assert kept.status_code == 201, kept.text
    (row,) = device.get("/pictures?task=shades")["pictures"]
    assert device.http.get(f"/pictures/shades/{row['id']}/thumbnail").is_success
    page = device.http.get("/?task=shades", headers={"Accept": "text/html"}).text
    assert "by mnist_mlp on 28 × 28 pixels" in page
    assert "mnist_mlp, 28 × 28 pixels" in " ".join(
        main.http.get("/?task=shades", headers={"Accept": "text/html"}).text.split()
    )
