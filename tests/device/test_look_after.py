"""What a device cannot do by itself is told to people, with real servers."""

from pathlib import Path

from tests.federation import Federation
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
