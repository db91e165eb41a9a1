"""A device with a schedule trains and sends by itself, without an address; real servers."""

from pathlib import Path

from tests.federation import TASKS, Federation
from tests.server import wait_until

AUTO = TASKS.replace("image_size", "auto_aggregate = true\n    image_size")


def test_a_device_without_an_address_goes_on_by_itself(tmp_path: Path) -> None:
    federation = Federation(tmp_path, AUTO, heartbeat_seconds=0.3, devices=("device1",))
    federation.write_pictures()
    device = federation.devices["device1"]
    device.environment |= {"DEVICE_URL": "", "SCHEDULE": "continuous"}
    try:
        for server in federation.servers:
            server.start()
        wait_until(lambda: 2 in federation.versions(), 180)
        status = device.status()
        assert status["url"] is None
        assert status["tasks"]["shades"]["schedule"]["kind"] == "continuous"
        assert "Trains by itself" in device.http.get("/").text
        (row,) = federation.main.get("/devices")["devices"]
        assert (row["name"], row["url"]) == ("device1", None)

        # Away: what is trained stays; back: it goes on.
        federation.main.stop()
        problem = wait_until(
            lambda: (
                (task := device.task("shades"))["schedule"]["problem"]
                or task["schedule"]["waits_for"]
            )
        )
        assert "does not answer" in problem or "newer version" in problem
        device.kill()
        device.start()
        federation.main.start()
        newest = max(federation.versions())
        wait_until(lambda: newest + 2 in federation.versions(), 180)

        # The sequence goes on over the kill: no two updates have the same number.
        updates = [name for row in federation.rounds() for name in row["updates"]]
        assert len(updates) >= newest + 2
    finally:
        federation.close()


def test_a_schedule_for_later_leaves_the_steps_to_people(tmp_path: Path) -> None:
    federation = Federation(tmp_path, TASKS, devices=("device1",))
    federation.write_pictures()
    device = federation.devices["device1"]
    device.environment |= {"SCHEDULE": "interval", "SCHEDULE_INTERVAL_SECONDS": "3600"}
    try:
        federation.start()
        # The first training is due at once; what it made is sent, and then an hour is waited.
        sent = wait_until(lambda: (device.task("shades")["pending"] or {}).get("sent"), 180)
        assert sent
        pending = device.task("shades")["pending"]
        told = device.task("shades")["schedule"]
        assert told["kind"] == "every 3600 s"
        assert abs(told["next"] - pending["trained"] - 3600) < 1
        assert "; next on" in device.http.get("/").text
        device.do("/modeltrain?task=shades")  # people may all the same
        assert device.do("/sendmodel?task=shades")["round"] == 1
    finally:
        federation.close()
