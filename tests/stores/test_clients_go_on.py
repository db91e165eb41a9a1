"""The state directory of a client of an earlier commit, in the middle of something, goes on."""

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from main_server import create_app
from main_server.settings import MainServerSettings
from shared.device.client.state import ClientState
from shared.device.main_server_client import MainServer
from shared.device.token_rotation import OwnTokens
from tests.device.client.fakes import CHUNK
from tests.device.client.memory_house import House

from .opening import CLIENTS, HERE, copy_main_server

TASK = "walks"


@pytest.fixture(params=CLIENTS)
def earlier(request: pytest.FixtureRequest) -> Path:
    """What an earlier commit wrote."""
    return HERE / str(request.param)


@pytest.fixture
def directory(earlier: Path, tmp_path: Path) -> Path:
    """A client that was killed while it pushed what it had trained while nobody answered."""
    shutil.copytree(earlier / "client", tmp_path / "client")
    return tmp_path / "client"


def _holds(now: Any, before: Any) -> bool:
    """Whether all of ``before`` is in ``now``, which may have more keys."""
    if isinstance(before, dict):
        return all(name in now and _holds(now[name], each) for name, each in before.items())
    return bool(now == before)


def test_all_that_was_kept_is_there(earlier: Path, directory: Path) -> None:
    told = json.loads((earlier / "client" / TASK / "state.json").read_bytes())
    files = {file.name: file.read_bytes() for file in (earlier / "client" / TASK).iterdir()}
    state = ClientState(directory, TASK)
    progress = state.progress
    assert state.token() == (earlier / "client/token").read_text()
    assert (progress.federation, progress.sequence) == (told["federation"], told["sequence"])
    assert (progress.next_chunk, progress.answered) == (told["next_chunk"], told["answered"])
    assert progress.task is not None
    assert _holds(progress.task.model_dump(mode="json"), told["task"])
    assert progress.base is not None
    assert _holds(progress.base.model_dump(), told["base"])
    own = progress.pending
    assert own is not None
    assert own.base_version == told["own"]["base_version"]
    assert own.uncounted == {2: CHUNK, 4: CHUNK}
    state.keep(next_chunk=told["next_chunk"])  # written anew by this Fedbell
    state.close()
    again = ClientState(directory, TASK)
    assert again.progress == progress
    again.close()
    kept = {file.name: file.read_bytes() for file in (directory / TASK).iterdir()}
    assert kept.keys() == files.keys()
    assert all(kept[name] == files[name] for name in files if name != "state.json")


@pytest.fixture
def served(earlier: Path, tmp_path: Path) -> Iterator[tuple[FlaskClient, str]]:
    """The main server that it belongs to, under this Fedbell; and its address."""
    state = copy_main_server(earlier.name, tmp_path / "main_server")
    tasks = earlier / "tasks.toml"
    app = create_app(MainServerSettings(state_directory=state, tasks_file=tasks))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    yield app.test_client(), f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)
    server.server_close()
    app.extensions["fedbell"].database.close()


class Connected(House):
    """A client with a real main server instead of one in memory."""

    def __init__(self, directory: Path, url: str, client: FlaskClient) -> None:
        task = client.application.extensions["fedbell"].tasks[TASK]
        super().__init__(directory.parent, task)
        self.state = directory
        self.settings = self.settings.model_copy(update={"main_server_url": url})
        token = (directory / "token").read_text()
        server: Any = MainServer(self.settings, token, OwnTokens(directory))
        self.server = server


def test_what_was_pending_counts_once_and_it_trains_on(
    directory: Path, served: tuple[FlaskClient, str]
) -> None:
    client, url = served
    (file,) = (directory / TASK).glob("update-*.safetensors")
    pending = hashlib.sha256(file.read_bytes()).hexdigest()
    server = client.application.extensions["fedbell"]
    before = client.get(f"/rounds?task={TASK}").json["rounds"]
    assert [row["version"] for row in before] == [2, 1]

    def made() -> list[int]:
        rows = client.get(f"/rounds?task={TASK}").json["rounds"]
        return [row["version"] for row in rows]

    Connected(directory, url, client).run(lambda: len(made()) == 4)
    newest, counted = server.rounds.page(TASK, 2)
    assert [update.sha256 for update in counted.updates] == [pending]
    assert [(update.base_version, update.num_samples) for update in counted.updates] == [
        (2, 2 * CHUNK)
    ]
    assert [update.base_version for update in newest.updates] == [3]
    devices = client.get("/devices").json["devices"]
    assert [each["name"] for each in devices].count("alice") == 1
    state = ClientState(directory, TASK)
    assert (state.progress.sequence, state.progress.answered) == (5, 3)
    own = state.progress.own
    assert own is not None
    assert own.base_sha256 is not None
    state.close()
