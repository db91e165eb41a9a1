"""Ctrl-C before a command listens for it: no traceback, and an exit status that says why."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ROOT

#: ``fedbell`` with a Ctrl-C of its own, at the first audit event of this kind about something.
CODE = """
import os, runpy, signal, sys

event, about = sys.argv.pop(1), sys.argv.pop(1)
if about.startswith("ignored "):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    about = about.removeprefix("ignored ")
moments = []

def interrupt(name, arguments):
    if name == event and about in str(arguments[0]) and not moments:
        moments.append(name)
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(interrupt)
try:
    runpy.run_module("shared.command_line", run_name="__main__", alter_sys=True)
finally:
    print(*moments)
"""


def run(
    directory: Path, event: str, about: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run a command that is interrupted; what it printed, and its exit status."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, event, about, *arguments],
        cwd=directory,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == f"{event}\n", (done.stdout, done.stderr)  # it was, and says no more
    return done


CLIENT = ("client", "--id=alice", "--task=mnist", "--shards", "1", "3", "--data=.")


@pytest.mark.parametrize(
    ("event", "about"),
    [
        ("import", "shared.command_line.commands"),
        ("import", "click.core"),
        ("import", "rich.console"),
        ("import", "shared.device.client.process"),
        ("import", "numpy"),
        ("import", "tenacity"),
        ("os.mkdir", "state"),
        ("open", "client.lock"),
    ],
)
def test_a_client_ends_as_it_does_later(tmp_path: Path, event: str, about: str) -> None:
    done = run(tmp_path, event, about, *CLIENT)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("event", "about", "command"),
    [
        ("import", "click.core", "evaluate --task=mnist"),
        ("socket.connect", "", "evaluate --task=mnist --server=http://127.0.0.1:9"),
        ("socket.connect", "", "tokens --server=http://127.0.0.1:9 list"),
    ],
)
def test_others_were_interrupted(tmp_path: Path, event: str, about: str, command: str) -> None:
    done = run(tmp_path, event, about, *command.split())
    assert (done.returncode, done.stderr) == (130, "")


def test_where_it_is_ignored_it_stays_ignored(tmp_path: Path) -> None:
    nowhere = [*CLIENT[:-1], "--data=nowhere"]
    done = run(tmp_path, "import", "ignored click.core", *nowhere)
    assert done.returncode == 1
    assert "There is no folder nowhere" in done.stderr
