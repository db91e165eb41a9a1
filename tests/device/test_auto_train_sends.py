"""Train on upload, with real servers: whatever comes between, what is new reaches the main server.

The tests of this module follow one another.
"""

import time
from collections.abc import Iterator

import pytest

from tests.device.house import House
from tests.federation import TASKS, Federation
from tests.server import wait_until


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"))
    try:
        house.federation.start()
        yield house
    finally:
        house.federation.close()
        house.connection.cut()


def choose_split(house: House, split: str, task: str = "shades") -> None:
    """Say what the newest uploaded picture is for."""
    newest = house.device.get(f"/pictures?task={task}")["pictures"][0]["id"]
    answer = house.device.http.patch(f"/pictures/{task}/{newest}", json={"split": split})
    assert answer.json()["split"] == split


def test_a_refused_update_is_trained_anew_and_never_sent_again(house: House) -> None:
    house.connection.spoil = lambda update: b"x" * len(update)
    house.switch(True)
    house.upload("dark.1.png")
    wait_until(lambda: len(house.jobs("sendmodel")) >= 3)
    assert "tried again by itself" in wait_until(house.problem)
    house.upload("light.2.png")  # while it waits
    wait_until(lambda: house.untrained() == 0)
    house.connection.spoil = None
    assert "after 2 new pictures: 4 epochs on 14 pictures" in house.told(1)
    assert house.problem() is None
    sent, trained = house.jobs("sendmodel"), house.jobs("modeltrain")
    assert len(sent) == len(trained) <= 7, "one sending for each training, with growing pauses"
    assert [job["status"] for job in sent] == ["done"] + ["failed"] * (len(sent) - 1)
    assert {job["status"] for job in trained} == {"done"}


@pytest.mark.parametrize("split", ["test", "valid"])
def test_a_picture_that_is_not_to_train_on_is_news_too(house: House, split: str) -> None:
    number = len(house.log("Trained by itself"))
    choose_split(house, split)
    assert house.untrained() == 1
    assert "after 1 new picture: 4 epochs on 13 pictures" in house.told(number + 1)
    assert house.untrained() == 0


def test_with_nothing_to_train_on_it_says_so_once_and_waits(house: House) -> None:
    house.upload("dark.3.png", task="fresh")
    choose_split(house, "test", "fresh")
    house.switch(True, "fresh")
    told = "there is none to train on"
    wait_until(lambda: told in (house.device.task("fresh")["auto_train_problem"] or ""))
    time.sleep(1.5)
    (line,) = house.log("Train on upload waits", "fresh")
    assert told in line
    assert not [job for job in house.jobs("modeltrain") if job["task"] == "fresh"]
    assert told in house.device.http.get("/?task=fresh").text
    house.upload("light.4.png", task="fresh")
    assert "after 2 new pictures: 4 epochs on 1 pictures" in house.told(1, "fresh")
    assert house.device.task("fresh")["auto_train_problem"] is None


def test_what_a_round_trained_and_nobody_sent_is_sent(house: House) -> None:
    house.device.kill()
    house.device.environment["AUTO_TRAIN_QUIET_SECONDS"] = "5"
    house.device.start()
    trainings = len(house.log("Trained by itself"))
    for is_sent in (True, False):
        sendings = len(house.jobs("sendmodel"))
        house.upload(f"dark.5.{is_sent}.png")
        wait_until(lambda: house.main.do("/modeltrain?task=shades&device=device1")["devices"])
        began = time.monotonic()
        assert house.untrained() == 0
        if is_sent:
            house.main.do("/sendmodel?task=shades&device=device1")
            time.sleep(17)
            assert len(house.jobs("sendmodel")) == sendings + 1
            assert not house.log("Nobody had sent")
        else:
            wait_until(lambda: house.log("Nobody had sent"))
            assert time.monotonic() - began > 10, "not at once: a round sends it itself"
            (line,) = house.log("Nobody had sent")
            assert line.startswith("Nobody had sent what was trained with 1 new picture. Sent to")
            assert house.device.task("shades")["pending"]["sent"] is True
            assert len(house.jobs("sendmodel")) == sendings + 1
    assert len(house.log("Trained by itself")) == trainings


def test_another_federation_gets_an_update_of_all_uploaded_pictures(house: House) -> None:
    uploaded = house.device.task("shades")["uploads"]["total"]
    trainings = len(house.log("Trained by itself"))
    other = Federation(house.federation.directory / "other", TASKS, devices=()).main
    other.start()
    try:
        house.connection.connect(other.url)
        told = house.told(trainings + 1)
        assert told.startswith(f"Trained by itself after {uploaded} new pictures")
        assert house.untrained() == 0
        (row,) = other.get("/rounds?task=shades")["rounds"]
        assert "device1" in other.get(f"/rounds/{row['number']}?task=shades")["updates"]
    finally:
        other.stop()
        other.http.close()
