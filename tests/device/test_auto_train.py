"""Train on upload, with real servers: from one file to an update that counts.

The tests of this module follow one another.
"""

import re
import time
from collections.abc import Iterator

import pytest

from tests.device.house import EPOCHS, House
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


def test_switched_off_nothing_happens_by_itself(house: House) -> None:
    assert house.device.task("shades")["auto_train"] is False
    house.upload("dark.1.png")
    assert house.untrained() == 1
    time.sleep(1.5)  # three times as long as it waits for others
    assert house.untrained() == 1
    assert not house.jobs("modeltrain")
    trained = house.device.do("/modeltrain?task=shades")
    assert trained["num_samples"] == 13
    assert house.untrained() == 0


def test_the_switch_on_a_page_and_what_it_refuses(house: House) -> None:
    for value, on in (("1", True), ("0", False)):
        answer = house.device.post(
            "/auto_train?task=shades", data={"on": value}, headers={"Accept": "text/html"}
        )
        assert (answer.status_code, answer.headers["Location"]) == (303, "/?task=shades")
        assert house.device.task("shades")["auto_train"] is on
    assert house.device.post("/auto_train?task=nonsense", {"on": True}).status_code == 404
    assert house.device.post("/auto_train?task=shades").status_code == 400
    assert house.log("Train on upload") == [
        "Train on upload was switched on",
        "Train on upload was switched off",
    ]


def test_one_picture_is_trained_on_and_the_update_sent(house: House) -> None:
    house.switch(True)
    house.upload("my-dark.2.png")
    told = house.told(1)
    numbers = re.fullmatch(
        r"Trained by itself after 2 new pictures: 4 epochs on 14 pictures: "
        r"accuracy ([01]\.\d+), loss (\d+\.\d+)\. Sent to the main server: counts in round 1",
        told,
    )
    assert numbers, told
    task = house.device.task("shades")
    assert (task["pending"]["num_samples"], task["pending"]["sent"]) == (14, True)
    assert task["pending"]["metrics"]["loss"] == pytest.approx(float(numbers[2]), abs=1e-3)
    assert (house.untrained(), house.problem()) == (0, None)
    assert [job["status"] for job in house.jobs("sendmodel")] == ["done"]
    round_1 = house.main.get("/rounds/1?task=shades")
    assert {name: update["num_samples"] for name, update in round_1["updates"].items()} == {
        "device1": 14
    }


def test_pictures_that_come_one_after_the_other_are_trained_on_together(house: House) -> None:
    for number in range(3):
        house.upload(f"light.{number}.png")
    assert "after 3 new pictures: 4 epochs on 17 pictures" in house.told(2)
    time.sleep(1)
    assert len(house.log("Trained by itself")) == 2


def test_a_kill_between_upload_and_training_loses_nothing(house: House) -> None:
    house.upload("dark.3.png")
    house.device.kill()
    house.device.start()
    assert house.device.task("shades")["auto_train"] is True
    assert "after 1 new picture: 4 epochs on 18 pictures" in house.told(3)


def test_the_main_server_is_away(house: House) -> None:
    house.connection.cut()
    house.upload("dark.4.png")
    wait_until(lambda: house.untrained() == 0)
    trainings = len(house.jobs("modeltrain"))
    assert "does not answer" in wait_until(house.problem)
    pending = house.device.task("shades")["pending"]
    assert (pending["num_samples"], pending["sent"]) == (19, False)
    began = time.monotonic()
    attempts = len(house.jobs("sendmodel"))
    time.sleep(2)
    more = len(house.jobs("sendmodel")) - attempts
    assert more <= 1 + (time.monotonic() - began), "pauses between attempts"

    house.device.kill()
    house.device.start()
    assert house.device.task("shades")["pending"]["sent"] is False
    house.connect()
    assert "counts in round 1" in house.told(4)
    assert house.problem() is None
    assert len(house.jobs("modeltrain")) == trainings, "it was trained once"


def test_a_stale_update_is_trained_anew_from_the_newest_version(house: House) -> None:
    house.connection.cut()
    house.upload("dark.6.png", "light.6.png")
    wait_until(house.problem)
    assert house.device.task("shades")["pending"]["base_version"] == 0
    other = house.federation.devices["device2"]
    other.do("/modeltrain?task=shades")
    other.do("/sendmodel?task=shades")
    assert house.main.do("/aggregate_models?task=shades")["version"] == 1
    house.connect()
    told = house.told(5)
    # The fifth dark one is for the test: new as well.
    assert "after 2 new pictures: 4 epochs on 20 pictures" in told
    assert told.endswith("counts in round 2")
    pending = house.device.task("shades")["pending"]
    assert (pending["base_version"], pending["sent"]) == (1, True)
    assert house.problem() is None


def test_a_step_that_runs_is_waited_for(house: House) -> None:
    job = house.device.begin("/modeltrain?task=shades", {"epochs": 1000, "batch_size": 1})
    wait_until(lambda: house.device.get(job)["progress"])
    house.upload("dark.7.png")
    time.sleep(1.5)
    assert [each["status"] for each in house.jobs("modeltrain")[:2]] == ["running", "done"]
    assert house.problem() is None
    house.device.do(f"{job}/cancel")
    assert "after 1 new picture: 4 epochs on 21 pictures" in house.told(6)


def test_switching_it_off_stops_its_training(house: House) -> None:
    house.device.kill()
    house.device.environment["AUTO_TRAIN_EPOCHS"] = "1000"
    house.device.start()
    house.upload(*(f"dark.8{index}.png" for index in range(40)))
    wait_until(lambda: (house.device.task("shades")["job"] or {}).get("progress"))
    house.switch(False)
    wait_until(lambda: house.device.task("shades")["job"] is None)
    assert house.jobs("modeltrain")[0]["status"] == "cancelled"
    assert house.untrained() > 0
    trainings = len(house.jobs("modeltrain"))
    time.sleep(1.5)
    assert len(house.jobs("modeltrain")) == trainings
    assert house.problem() is None

    house.device.kill()
    house.device.environment["AUTO_TRAIN_EPOCHS"] = str(EPOCHS)
    house.device.start()
    assert house.device.task("shades")["auto_train"] is False
    house.switch(True)
    house.told(7)
    assert house.untrained() == 0


def test_a_training_that_somebody_stops_waits_for_the_next_picture(house: House) -> None:
    job = house.device.begin("/modeltrain?task=shades", {"epochs": 1000, "batch_size": 1})
    house.upload("dark.90.png")
    house.device.kill()
    house.device.environment["AUTO_TRAIN_EPOCHS"] = "1000"
    house.device.start()
    assert house.device.get(job)["status"] == "failed"
    running = wait_until(lambda: (house.device.task("shades")["job"] or {}).get("id"))
    house.device.do(f"/jobs/{running}/cancel")
    assert "stopped" in wait_until(house.problem)
    trainings = len(house.jobs("modeltrain"))
    time.sleep(1.5)
    assert len(house.jobs("modeltrain")) == trainings
    house.device.kill()
    house.device.environment["AUTO_TRAIN_EPOCHS"] = str(EPOCHS)
    house.device.start()
    assert "after 1 new picture:" in house.told(8)


def test_a_failure_is_told_and_tried_again(house: House) -> None:
    folder = house.federation.dataset("device1") / "train" / "purple"
    folder.mkdir()
    house.upload("dark.91.png")
    assert "purple" in wait_until(house.problem)
    assert "purple" in house.device.http.get("/").text
    time.sleep(2)
    failed = [job for job in house.jobs("modeltrain") if job["status"] == "failed"]
    assert 1 <= len(failed) <= 5, "with growing pauses"
    folder.rmdir()
    assert "after 1 new picture:" in house.told(9)
    assert house.problem() is None


def test_from_one_drop_of_a_file_to_a_new_version(house: House) -> None:
    assert house.device.task("fresh")["can_train"] is False
    assert house.main.get("/models?task=fresh")["versions"] == []
    house.switch(True, "fresh")
    house.upload("a dark night.png", task="fresh")
    assert "after 1 new picture:" in house.told(1, "fresh")
    assert "fresh" in house.main.get("/tasks")["tasks"][1]["name"]
    wait_until(lambda: len(house.main.get("/models?task=fresh")["versions"]) > 1)
    wait_until(lambda: house.device.task("fresh")["version"] == 1)
    row = next(each for each in house.main.get("/devices")["devices"] if each["name"] == "device1")
    assert row["tasks"]["fresh"]["num_samples"] == 1
