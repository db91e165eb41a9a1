"""What makes the main server start soon and stay small: what it loads, where, and what not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import ROOT, Server, wait_until

_LOADED = "import sys; import main_server; print(*sys.modules)"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server("main_server.wsgi:app", tmp_path, {"WORKERS": "2"})
    yield server
    server.stop()
    server.http.close()


def files_mapped(process: int) -> str:
    return Path(f"/proc/{process}/maps").read_text()


def files_open(process: int) -> list[str]:
    found = []
    for link in Path(f"/proc/{process}/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


def test_it_loads_nothing_that_only_devices_need() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _LOADED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in told.stdout.split()}
    assert "flask" in loaded
    assert not loaded & {"tensorflow", "keras", "cv2", "sklearn", "matplotlib", "scipy", "h5py"}
    rooms = {name for name in told.stdout.split() if name.startswith("shared.")}
    assert not {name for name in rooms if name.split(".")[1] in {"device", "learning", "datasets"}}


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc to look into")
def test_workers_share_the_modules_and_nothing_else(server: Server) -> None:
    server.start()
    wait_until(lambda: len(server.workers()) == 2)
    assert "_multiarray_umath" in files_mapped(server.pid), "loaded once, before the fork"
    threads = list(Path(f"/proc/{server.pid}/task").iterdir())
    assert len(threads) == 2, "the main one, and the one that waits for standard input"
    assert not [name for name in files_open(server.pid) if str(server.state) in name]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc to look into")
def test_it_may_open_as_many_files_as_the_system_grants(server: Server) -> None:
    server.start()
    limits = Path(f"/proc/{server.workers()[0]}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    granted, most = line.split()[3:5]
    assert granted == most


def test_a_worker_that_was_killed_comes_back(server: Server) -> None:
    server.start()
    workers = wait_until(lambda: found if len(found := server.workers()) == 2 else None)
    for worker in workers:
        os.kill(worker, 9)
    wait_until(lambda: len(set(server.workers()) - set(workers)) == 2)
    wait_until(lambda: server.http.get("/").is_success)
