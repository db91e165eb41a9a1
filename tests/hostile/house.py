"""A device without learning that speaks to a real main server, and looks at what a server holds."""

import os
from pathlib import Path
from typing import Any, cast

import httpx
from flask.testing import FlaskClient

from tests.main_server.conftest import ThinDevice
from tests.server import Server

TASKS = """
[tasks.digits]
classes = ["0", "1"]
seed = 7
"""


class _Client:
    """Flask's test client, as far as :class:`ThinDevice` uses it, over a real connection."""

    def __init__(self, server: Server) -> None:
        self._http = server.http

    def post(self, path: str, **what: Any) -> httpx.Response:
        return self._http.post(path, **_renamed(what))

    def put(self, path: str, **what: Any) -> httpx.Response:
        return self._http.put(path, **_renamed(what))


def _renamed(what: dict[str, Any]) -> dict[str, Any]:
    return {{"data": "content"}.get(name, name): value for name, value in what.items()}


def thin_device(server: Server, name: str = "device1") -> ThinDevice:
    """A device of a real main server."""
    return ThinDevice(cast("FlaskClient", _Client(server)), name)


def main_server(directory: Path, **settings: str) -> Server:
    """A main server with one worker, not started."""
    directory.mkdir(parents=True, exist_ok=True)
    tasks = directory / "tasks.toml"
    tasks.write_text(TASKS)
    own = {"TASKS_FILE": str(tasks), "FIRST_VERSION_SECONDS": "0"}
    return Server("main_server.wsgi:app", directory, own | settings)


def files_in(directory: Path) -> dict[str, int]:
    """All files in a folder, by name with their bytes; the store's own log left out."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock")):
            found[str(path.relative_to(directory))] = path.stat().st_size
    return found


def resident_bytes(process: int) -> int:
    """The memory that a process has now."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
