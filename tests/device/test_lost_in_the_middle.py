"""A device that stands still in the middle of a training keeps no round past its deadline."""

import os
import signal
import time
from pathlib import Path

from tests.federation import Federation, write_pictures
from tests.server import Server, wait_until

_DEADLINE_SECONDS = 10
_TASKS = f"""
    [tasks.shades]
    classes = ["dark", "light"]
    image_size = 32
    training = {{ epochs = 40, batch_size = 1, learning_rate = 0.001 }}
    rounds = {{ deadline_seconds = {_DEADLINE_SECONDS}, rest_after = 1, rest_rounds = 1 }}
"""
#: As many pictures as take much longer than a round.
_MANY = 500


def is_training(device: Server) -> bool:
    job = device.task("shades")["job"]
    return job is not None and job["progress"] is not None


def tell_all(device: Server, what: signal.Signals) -> None:
    """Send a signal to all processes of a device: its network stays, nobody answers."""
    for process in (device.pid, *device.family()):
        os.kill(process, what)


def test_a_paused_device_keeps_nobody_waiting(tmp_path: Path) -> None:
    federation = Federation(tmp_path, _TASKS)
    federation.write_pictures()
    lost = federation.devices["device2"]
    write_pictures(federation.dataset("device2"), {"train": _MANY}, seed=9)
    try:
        federation.start()
        job = federation.main.begin("/run_rounds", {"rounds": 2})
        wait_until(lambda: is_training(lost))
        tell_all(lost, signal.SIGSTOP)
        began = time.time()
        ended = federation.main.ended(job)
        assert ended["status"] == "done", ended
        assert time.time() - began < 4 * _DEADLINE_SECONDS
        rows = federation.rounds()
        assert [row["status"] for row in rows] == ["distributed", "distributed"]
        assert [list(row["updates"]) for row in rows] == [["device1"], ["device1"]]
        for row in rows:
            # A second or two of this machine's besides: nothing waited for the lost one.
            assert row["seconds"] < _DEADLINE_SECONDS + 5
        step = federation.main.get("/rounds/1")["steps"]["modeltrain"]["device2"]
        assert step["problem"]["type"] == "urn:fedbell:problem:round-over"
        assert "device2" not in federation.main.get("/rounds/2")["steps"]["modeltrain"], "rested"
        tell_all(lost, signal.SIGCONT)
        assert federation.caught_up("device2")["version"] == 2
        told = federation.main.do("/devices/device2/wake?task=shades")
        assert told == {"device": "device2", "woken": ["shades"]}
        wait_until(lambda: lost.task("shades")["job"] is None)
    finally:
        tell_all(lost, signal.SIGCONT)  # nobody ends while it is stopped
        federation.close()
