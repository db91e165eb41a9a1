"""The README's way to another device, as written: copy a folder, change three lines, run."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server import ROOT, free_port

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

TASKS = """
[tasks.digits]
classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
image_size = 32
training = { epochs = 1 }
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Fedbell's folder as a clone has it, but for ports that are free and small pictures."""
    for name in ("main_server", "shared", "gunicorn.conf.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("device1", "device2"):
        shutil.copytree(ROOT / name, tmp_path / name)
        change(tmp_path / name, device_url=f"http://127.0.0.1:{free_port()}")
    (tmp_path / "tasks.toml").write_text(TASKS)
    return tmp_path


def change(folder: Path, **values: str) -> None:
    """Give keys that are there other values."""
    file = folder / "device.toml"
    text = file.read_text()
    for key, value in values.items():
        text, number = re.subn(rf'(?m)^{key} = "[^"]*"', f'{key} = "{value}"', text)
        assert number == 1
    file.write_text(text)


def fedbell(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "shared.command_line", *arguments]


@pytest.fixture
def main_server(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What `make run` starts in the clone once device3 is there; the main server's address."""
    subprocess.run(fedbell("dataset", "digits"), cwd=clone, check=True, timeout=60)
    device3 = clone / "device3"
    shutil.copytree(clone / "device1", device3)
    address = f"http://127.0.0.1:{free_port()}"
    pictures = "dataset/device3"
    change(device3, device_name="device3", device_url=address, dataset_directory=pictures)
    subprocess.run(fedbell("dataset", "digits"), cwd=clone, check=True, timeout=60)
    monkeypatch.setenv("TASKS_FILE", "tasks.toml")
    monkeypatch.setenv("HEARTBEAT_SECONDS", "0.5")
    port = free_port()
    launcher = subprocess.Popen(
        fedbell("run", f"--port={port}"),
        cwd=clone,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert launcher.stdout is not None
        line = launcher.stdout.readline()
        assert line.startswith("Fedbell is ready"), line + launcher.stdout.read()
        yield f"http://127.0.0.1:{port}"
    finally:
        launcher.terminate()
        launcher.communicate(timeout=30)


def test_three_devices_finish_a_round(main_server: str) -> None:
    with httpx.Client(base_url=main_server, timeout=180, trust_env=False) as main:
        trained = main.post("/modeltrain").json()["devices"]
        assert sorted(trained) == ["device1", "device2", "device3"], trained
        assert sum(told["num_samples"] for told in trained.values()) == 1259
        sent = main.post("/sendmodel").json()["devices"]
        assert [told["device"] for told in sent.values()] == sorted(trained), sent
        assert main.post("/aggregate_models").json()["updates"] == 3
        distributed = main.post("/send_model_clients").json()
    assert {told["version"] for told in distributed["devices"].values()} == {1}
    assert distributed["evaluation"]["num_samples"] == 359
