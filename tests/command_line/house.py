"""A folder like Fedbell's own, with tiny servers in it."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from tests.server import ROOT, free_port

APP = """
import os
from pathlib import Path

Path(os.environ["STATE_DIRECTORY"], f"{os.getpid()}.pid").touch()
Path(os.environ["STATE_DIRECTORY"], f"{os.getppid()}.pid").touch()

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ.get("MAIN_SERVER_URL", "").encode()]
"""


class House:
    """A folder like Fedbell's own with tiny servers in it, and its launcher."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copy(ROOT / "gunicorn.conf.py", root)
        self.port = free_port()
        self.add("main_server")
        self.device_port = free_port()
        self.add("device1", f"http://127.0.0.1:{self.device_port}")
        self.launchers: list[subprocess.Popen[str]] = []

    def add(self, name: str, url: str | None = None, app: str = APP, toml: str = "") -> None:
        (self.root / name).mkdir(exist_ok=True)
        # A package, or Fedbell's own of that name would be taken.
        (self.root / name / "__init__.py").touch()
        (self.root / name / "wsgi.py").write_text(app)
        if url:
            (self.root / name / "device.toml").write_text(f'device_url = "{url}"\n{toml}')

    def launch(self, *options: str) -> subprocess.Popen[str]:
        launcher = subprocess.Popen(
            [sys.executable, "-m", "shared.command_line", "run", f"--port={self.port}", *options],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.launchers.append(launcher)
        return launcher

    def launch_until_ready(self, *options: str) -> subprocess.Popen[str]:
        launcher = self.launch(*options)
        assert launcher.stdout is not None
        line = launcher.stdout.readline()
        assert line == f"Fedbell is ready: http://localhost:{self.port}/\n", launcher.communicate()
        assert launcher.stdout.readline() == "Ctrl-C stops it.\n"
        return launcher

    def processes(self, server: str = "*") -> set[int]:
        """Process ids that the servers' masters and workers wrote down when they started."""
        return {int(path.stem) for path in self.root.glob(f"state/{server}/*.pid")}

    def master(self, server: str) -> int:
        """The process id of one server's master: its workers are in its session."""
        return os.getpgid(next(iter(self.processes(server))))


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc/self").exists()


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    pause = threading.Event()
    for _ in range(round(seconds / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError(f"not within {seconds} s")
