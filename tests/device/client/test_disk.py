"""What is wrong with the files of a client is told by their names, and ends it."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from shared.device.client import process
from shared.device.client.state import ClientState
from shared.device.offline import is_passing
from shared.federated.task import Task
from tests.device.client.command import run, sentence
from tests.device.client.fakes import FakeLearner, FakeMainServer
from tests.device.client.memory_house import StillHeartbeat

pytestmark = pytest.mark.usefixtures("process_as_before")


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


def test_data_behind_a_closed_door_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", forbidden)
    told = sentence(run(tmp_path, f"--state={tmp_path / 'state'}"))
    assert "Permission denied. The data are read there" in told


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "own/a.h5"), "own/a.h5: Permission"),
        (OSError(errno.EMFILE, "Too many open files"), "Error: Too many open files."),
    ],
)
def test_where_nothing_is_known_no_option_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    def fail(_: Any) -> None:
        raise error

    monkeypatch.setattr(process._Client, "run", fail)
    told = sentence(run(tmp_path, f"--state={tmp_path / 'state'}"))
    assert words in told
    assert "--" not in told


def test_only_a_connection_is_waited_for() -> None:
    assert is_passing(ConnectionResetError())
    assert is_passing(TimeoutError())
    assert not is_passing(OSError(errno.ENOSPC, "No space left on device"))
    assert not is_passing(PermissionError(errno.EACCES, "Permission denied"))
