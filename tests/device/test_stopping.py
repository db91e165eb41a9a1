"""A training that the main server asked for is stopped there, and with it on every device."""

from functools import partial
from pathlib import Path

from tests.federation import Federation
from tests.server import Server, wait_until

_TASKS = """
    [tasks.shades]
    classes = ["dark", "light"]
    image_size = 32
    training = { epochs = 1000, batch_size = 1, learning_rate = 0.01 }
"""


def is_training(device: Server) -> bool:
    job = device.task("shades")["job"]
    return job is not None and job["progress"] is not None


def test_stopped_on_the_main_server_every_device_stops(tmp_path: Path) -> None:
    federation = Federation(tmp_path, _TASKS)
    federation.write_pictures(train=200)
    try:
        federation.start()
        no_wait = {"Prefer": "respond-async"}
        job = federation.main.post("/modeltrain", headers=no_wait).json()["job"]
        for device in federation.devices.values():
            wait_until(partial(is_training, device))
        federation.main.do(f"/jobs/{job}/cancel")
        wait_until(lambda: federation.main.get(f"/jobs/{job}")["status"] == "cancelled")
        for device in federation.devices.values():
            told = device.task("shades")
            assert told["job"] is None
            assert told["last_job"]["status"] == "cancelled"
            assert told["pending"] is None
        assert federation.main.get("/rounds")["rounds"] == []
        idle = federation.devices["device1"].do("/modeltrain/cancel")
        assert idle == {"cancelled": False}
        assert federation.devices["device1"].post("/modeltrain/cancel?task=x").status_code == 404
    finally:
        federation.close()
