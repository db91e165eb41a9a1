"""A wrong setting stops the start, with one line that names it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from main_server.settings import MainServerSettings, read_tasks
from main_server.store.versions import Versions
from shared.errors import ConfigurationError

from .conftest import TASKS, ThinDevice


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "there is no task"),
        ("[tasks.digits]\nclasses = ['a']", "tasks.digits: classes"),
        (
            "[tasks.digits]\nclasses = ['a', 'b']\ncolour = 1",
            "tasks.digits: there is no key colour",
        ),
        ("[tasks.'a b']\nclasses = ['a', 'b']", "tasks.a b: a task's name has lower-case"),
        (
            "[tasks.digits]\nclasses = ['a', 'b']\nimage_sise = 96",
            "there is no key image_sise; did you mean image_size?",
        ),
        ("[tasks.a]\nclasses = ['a', 'b']\n[tasks.a.training]\nepochs = 0", "training.epochs"),
        ("[task.a]\nclasses = ['a', 'b']", "unknown key 'task'"),
        ("[tasks.a]\nname = 'b'\nclasses = ['a', 'b']", "tasks.a"),
        ("not toml", "line 1"),
    ],
)
def test_a_wrong_tasks_file(tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "tasks.toml"
    file.write_text(content)
    with pytest.raises(ConfigurationError) as raised:
        read_tasks(file)
    assert str(file) in raised.value.detail
    assert sentence in raised.value.detail
    assert "\n" not in raised.value.detail


def test_the_tasks_that_come_with_the_project() -> None:
    assert list(read_tasks(MainServerSettings().tasks_file)) == ["digits", "cats_dogs"]


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTBEAT_SECONDS", "2.5")
    assert MainServerSettings.load(heartbeat_seconds=9).heartbeat_seconds == 2.5


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HEARTBEAT_SECONDS", "soon"), ("MOST_UPLOAD_BYTES", "-1"), ("JOIN_TOKEN_FILE", "/no/such")],
)
def test_a_wrong_variable_stops_the_start(tmp_path: Path, variable: str, value: str) -> None:
    environment = os.environ | {"STATE_DIRECTORY": str(tmp_path), variable: value}
    ended = subprocess.run(
        [sys.executable, "-c", "import main_server.wsgi"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 4
    assert ended.stderr.count("\n") == 1
    assert variable.lower() in ended.stderr.lower()


def test_the_join_token_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("let me in, please\n")
    assert MainServerSettings(join_token_file=secret).join_secret() == "let me in, please"


def test_a_changed_network_needs_a_new_name(device: ThinDevice, tmp_path: Path) -> None:
    versions: Versions = device.client.application.extensions["fedbell"].versions
    file = tmp_path / "changed.toml"
    file.write_text(TASKS.replace("seed = 7", 'trainable = "block"'))
    with pytest.raises(ConfigurationError, match=r"tasks.digits: trainable was 'head'"):
        versions.check_networks(read_tasks(file).values())
    file.write_text(TASKS.replace("seed = 7", "seed = 8\n[tasks.digits.training]\nepochs = 1"))
    versions.check_networks(read_tasks(file).values())
