"""kill -9 before and after each write of what comes before the first round."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.kill_points import Trap, walk
from tests.federation import Federation
from tests.server import Server, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

TOKEN = {"Authorization": "Bearer " + "t" * 43}
STATUS = {"device": "neighbour", "url": "http://127.0.0.1:9", "tasks": {"shades": {}}}


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Federation]:
    """A main server that nobody has called yet, and one device that has never run."""
    federation = Federation(tmp_path, heartbeat_seconds=0.2, devices=("device1",))
    federation.write_pictures()
    try:
        yield federation
    finally:
        federation.close()


@pytest.fixture
def empty_state(begun: Federation, tmp_path: Path) -> Path:
    """The state of a main server that has started once: which federation it is is settled."""
    begun.main.start()
    begun.main.stop()
    begun.main.state.rename(tmp_path / "empty")
    return tmp_path / "empty"


def start_anew(server: Server, state: Path) -> None:
    """Start a server with a copy of a state."""
    server.stop()
    shutil.rmtree(server.state, ignore_errors=True)
    shutil.copytree(state, server.state)
    server.start()


def count(server: Server, query: str) -> int:
    """A number from the main server's store."""
    connection = sqlite3.connect(server.state / "main_server.db")
    try:
        (number,) = connection.execute(query).fetchone()
    finally:
        connection.close()
    return int(number)


def test_killed_in_its_first_start(begun: Federation, tmp_path: Path) -> None:
    trap = Trap(begun.main, tmp_path / "trap")
    for point in walk("main_server start", 1):
        shutil.rmtree(begun.main.state, ignore_errors=True)
        trap.spring_at_start(point, begun.main.is_ready, ("report",))
        if point.reached:
            begun.main.start()
        assert count(begun.main, "SELECT count(*) FROM federation") == 1, point.story()
        assert begun.main.post("/clientstatus", STATUS, headers=TOKEN).status_code == 400
        assert begun.main.get("/rounds")["rounds"] == []
        begun.main.stop()


def test_killed_while_a_device_enrols(begun: Federation, empty_state: Path, tmp_path: Path) -> None:
    status = STATUS | {"tasks": {"shades": {"num_samples": 3}}}
    trap = Trap(begun.main, tmp_path / "trap")
    for point in walk("main_server clientstatus", 1):
        start_anew(begun.main, empty_state)
        trap.spring(point, lambda: begun.main.post("/clientstatus", status, headers=TOKEN), ())
        if point.reached:
            begun.main.start()
        answer = begun.main.post("/clientstatus", status, headers=TOKEN)
        assert answer.json()["tasks"]["shades"]["version"] is None, point.story()
        (device,) = begun.main.get("/devices")["devices"]
        assert device["tasks"]["shades"]["num_samples"] == 3
        told = "SELECT count(*) FROM events WHERE kind = 'device_enrolled'"
        assert count(begun.main, told) == 1, point.story()
        stranger = {"Authorization": "Bearer " + "s" * 43}
        assert begun.main.post("/clientstatus", status, headers=stranger).status_code == 401


def test_killed_while_version_0_is_offered(
    begun: Federation, empty_state: Path, ready: Federation, tmp_path: Path
) -> None:
    (file,) = (ready.main.state / "models" / "shades").iterdir()
    status = STATUS | {"tasks": {"shades": {"num_samples": 3}}}
    trap = Trap(begun.main, tmp_path / "trap")

    def offer() -> httpx.Response:
        return begun.main.http.put("/models/0", content=file.read_bytes(), headers=TOKEN)

    hashes = set()
    for point in walk("main_server offer", 3):
        start_anew(begun.main, empty_state)
        begun.main.post("/clientstatus", status, headers=TOKEN)
        trap.spring(point, offer, ("clientstatus",))
        if point.reached:
            begun.main.start()
        answer = offer()
        assert answer.status_code in {200, 201}, answer.text
        assert offer().json() == {"task": "shades", "version": 0, "taken": False}
        hashes.add(begun.versions()[0])
        assert len(hashes) == 1, point.story()
        assert len(list((begun.main.state / "models" / "shades").iterdir())) == 1, point.story()


def test_killed_while_it_joins(begun: Federation, empty_state: Path, tmp_path: Path) -> None:
    device = begun.devices["device1"]
    trap = Trap(device, tmp_path / "trap")
    hashes, accuracies = set(), set()

    def joined() -> bool:
        try:
            (row,) = begun.main.get("/devices")["devices"]
            task = device.get("/status")["tasks"]["shades"]
        except (ValueError, KeyError, httpx.TransportError):
            return False
        told = row["tasks"].get("shades", {}).get("version") == 0
        return told and task["evaluation"] is not None and task["job"] is None

    for point in walk("device1 joins", 2):
        device.stop()
        shutil.rmtree(device.state, ignore_errors=True)
        start_anew(begun.main, empty_state)
        trap.spring_at_start(point, joined, ("report",))
        if point.reached:
            device.start()
            wait_until(joined)
        hashes.add(begun.versions()[0])
        accuracies.add(begun.caught_up("device1")["evaluation"]["accuracy"])
        assert (len(hashes), len(accuracies)) == (1, 1), point.story()
        told = "SELECT count(*) FROM events WHERE kind = 'device_enrolled'"
        assert count(begun.main, told) == 1, point.story()
        hidden = [
            file
            for folder in (".", "models", "updates", "incoming")
            for file in (device.state / folder).iterdir()
            if file.name.startswith(".")
        ]
        assert not hidden, point.story()
        assert device.do("/modeltrain")["base_version"] == 0
