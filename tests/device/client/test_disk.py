"""What is wrong with the files of a client is told by their names, and ends it."""

import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from shared.command_line.commands import main
from shared.device.client import process
from shared.device.client.state import ClientState
from shared.device.offline import is_passing
from shared.device.trainer_process import trainer_environment
from shared.federated.task import Task
from tests.device.client.fakes import FakeLearner, FakeMainServer
from tests.device.client.memory_house import StillHeartbeat


@pytest.fixture(autouse=True)
def _process_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A client is alone in its process, and sets it up for itself."""
    for name, value in trainer_environment(2).items():
        monkeypatch.setenv(name, value)
    logger = logging.getLogger("shared")
    before = logger.level
    yield
    logger.setLevel(before)


def run(directory: Path, *options: str) -> Result:
    required = ["--id=alice", "--task=mnist", "--shards", "2", "4", f"--data={directory}"]
    return CliRunner().invoke(main, ["client", *required, *options])


def sentence(result: Result) -> str:
    """The one line that says what is wrong."""
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


def test_a_state_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    told = sentence(run(tmp_path, f"--state={file}"))
    assert f"{file}" in told
    assert "name another folder with --state DIR" in told
    assert "Error: /proc/x" in sentence(run(tmp_path, "--state=/proc/x"))


@pytest.mark.parametrize("when", ["download", "train", "keep"])
def test_a_full_disk_ends_it_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    server = FakeMainServer(tmp_path / "server", Task(name="mnist", classes=("a", "b")))

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = {"download": FakeMainServer, "train": FakeLearner, "keep": ClientState}[when]
    monkeypatch.setattr(target, when, full)
    monkeypatch.setattr(process, "MainServer", lambda *_: server)
    monkeypatch.setattr(process, "Heartbeat", StillHeartbeat)
    monkeypatch.setattr(process._Client, "_learner", lambda _, task: FakeLearner(task, server.fate))
    state = tmp_path / "state"
    told = sentence(run(tmp_path, f"--state={state}", "--max-retries=1", "--rounds=2"))
    assert told.startswith(f"Error: {state}: No space left on device. Free some space")
    assert not server.accepted


def test_data_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "train" / "a"))

    monkeypatch.setattr(process._Client, "run", forbidden)
    told = sentence(run(tmp_path, f"--state={tmp_path / 'state'}"))
    assert f"{tmp_path}/train/a: Permission denied. The data are read there" in told


def test_only_a_connection_is_waited_for() -> None:
    assert is_passing(ConnectionResetError())
    assert is_passing(TimeoutError())
    assert not is_passing(OSError(errno.ENOSPC, "No space left on device"))
    assert not is_passing(PermissionError(errno.EACCES, "Permission denied"))
