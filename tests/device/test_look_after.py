"""What a device cannot do by itself is told to people, with real servers."""

from pathlib import Path

from tests.device.traces import picture
from tests.federation import TASKS, Federation
from tests.server import wait_until


def test_a_first_version_that_is_refused_is_the_tasks_problem(tmp_path: Path) -> None:
    federation = Federation(tmp_path, devices=("device1",))
    federation.write_pictures()
    device = federation.devices["device1"]
    try:
        federation.main.environment["MOST_UPLOAD_BYTES"] = "1000"
        federation.main.start()
        device.start()
        problem = wait_until(lambda: (device.task("shades") or {}).get("problem"))
        assert "At most 1000 bytes are taken" in problem
        assert "At most 1000 bytes are taken" in device.http.get("/").text
        wait_until(lambda: problem in str(federation.main.get("/devices")))

        federation.main.stop()
        del federation.main.environment["MOST_UPLOAD_BYTES"]
        federation.main.start()
        device.post("/sendmodel")  # whatever people do, the device looks again at once
        assert federation.caught_up("device1")["problem"] is None
        wait_until(lambda: problem not in str(federation.main.get("/devices")))
    finally:
        federation.close()


def test_the_first_picture_of_a_task_makes_the_device_take_part(tmp_path: Path) -> None:
    fresh = TASKS.replace("tasks.shades", "tasks.fresh")
    federation = Federation(tmp_path, TASKS + fresh, heartbeat_seconds=60, devices=("device1",))
    federation.write_pictures()
    device = federation.devices["device1"]
    try:
        federation.start()
        assert "Upload some" in device.task("fresh")["problem"]
        files = {"pictures": ("a dark night.png", picture(1))}
        assert device.post("/pictures?task=fresh", files=files).is_success
        wait_until(lambda: federation.main.get("/models?task=fresh")["versions"], seconds=20)
        assert federation.caught_up("device1", "shades")["classes"]["dark"]["train"] == 4
        task = wait_until(lambda: (told := device.task("fresh"))["version"] == 0 and told, 20)
        assert task["classes"]["dark"] == {"train": 1, "valid": 0, "test": 0}
        assert (task["can_train"], task["auto_train"]) == (True, False)
        (row,) = federation.main.get("/devices")["devices"]
        assert row["tasks"]["fresh"]["num_samples"] == 1
    finally:
        federation.close()
