"""What makes a device answer soon while its trainer warms up: what its web side never loads."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ROOT, Server

_LOADED = "import sys; import shared.device.app; print(*sys.modules)"
_TRAINERS = {"tensorflow", "keras", "cv2", "sklearn", "matplotlib", "scipy", "h5py"}


def test_the_web_side_loads_nothing_that_only_the_trainer_needs() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _LOADED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(told.stdout.split())
    assert "shared.datasets.class_folders" in loaded
    assert not {name.partition(".")[0] for name in loaded} & _TRAINERS
    assert not {name for name in loaded if name.startswith("shared.learning")}


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc to look into")
def test_nothing_is_loaded_before_the_fork_and_no_opencv_by_answering(device: Server) -> None:
    assert device.status()["device"]
    assert device.http.get("/").is_success
    (worker,) = device.workers()
    before_the_fork = Path(f"/proc/{device.pid}/maps").read_text()
    assert "numpy" not in before_the_fork
    mapped = Path(f"/proc/{worker}/maps").read_text()
    assert "numpy" in mapped
    assert not [name for name in _TRAINERS if f"/{name}/" in mapped]
