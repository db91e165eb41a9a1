"""kill -9 before and after each write of going back to an older version."""

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from main_server import create_app
from main_server.settings import MainServerSettings
from tests.faults.kill_points import Trap, walk
from tests.main_server.conftest import TASKS, ThinDevice, initial_weights
from tests.server import Server

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    file = tmp_path / "tasks.toml"
    file.write_text(TASKS)
    return file


@pytest.fixture
def open_round(tasks: Path, tmp_path: Path) -> Path:
    """A state with the versions 0 and 1, and an update of the open round 2."""
    state = tmp_path / "prepared"
    settings = MainServerSettings(state_directory=state, tasks_file=tasks, first_version_seconds=0)
    device = ThinDevice(create_app(settings).test_client(), "device1")
    device.status()
    device.offer()
    trained = {name: array + 1 for name, array in initial_weights().items()}
    device.send(device.update(trained))
    assert device.client.post("/aggregate_models").status_code == 200
    assert device.send(device.update(trained, base_version=1)).status_code == 200
    return state


@pytest.fixture
def server(tasks: Path, tmp_path: Path) -> Iterator[Server]:
    settings = {"TASKS_FILE": str(tasks), "WORKERS": "2"}
    server = Server("main_server.wsgi:app", tmp_path / "main_server", settings)
    yield server
    server.stop()
    server.http.close()


def count(server: Server, query: str) -> int:
    """A number from the main server's store."""
    connection = sqlite3.connect(server.state / "main_server.db")
    try:
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


def test_killed_while_a_version_is_promoted(
    server: Server, open_round: Path, tmp_path: Path
) -> None:
    trap = Trap(server, tmp_path / "trap")
    hashes = set()
    for point in walk("main_server promote", 6):
        server.stop()
        shutil.rmtree(server.state, ignore_errors=True)
        shutil.copytree(open_round, server.state)
        server.start()
        trap.spring(point, lambda: server.post("/models/0/promote"), ())
        if point.reached:
            server.start()
        try:
            check_all_or_nothing(server)
            answer = server.post("/models/0/promote") if newest(server) == 1 else None
            assert answer is None or answer.is_success, answer.text
            assert newest(server) == 2
            check_all_or_nothing(server)
            told = "SELECT count(*) FROM events WHERE kind = 'version_promoted'"
            assert count(server, told) == 1
            assert not list((server.state / "updates").rglob("*.safetensors"))
            files = list((server.state / "models" / "digits").iterdir())
            assert len(files) == 3, "made again it has the same name"
        except BaseException as error:
            error.add_note(point.story())
            raise
        hashes.add(server.get("/models")["versions"][0]["sha256"])
    assert len(hashes) == 1


def newest(server: Server) -> int:
    number: int = server.get("/models")["versions"][0]["version"]
    return number


def check_all_or_nothing(server: Server) -> None:
    """The version is there and the round is abandoned; or neither, and its update counts."""
    versions, rounds = server.get("/models")["versions"], server.get("/rounds")["rounds"]
    for row in versions:
        content = server.http.get(f"/models/{row['version']}").content
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
    promoted = versions[0]["version"] == 2
    assert versions[0]["promoted_from"] == (0 if promoted else None)
    assert rounds[0]["status"] == ("abandoned" if promoted else "open")
    assert rounds[0]["updates"].keys() == {"device1"}
    if not promoted:
        (file,) = (server.state / "updates").rglob("*.safetensors")
        assert file.name.startswith("device1-")
