"""The real containers, in a project of their own, on free ports, from a copy of the sources."""

import json
import os
import shutil
import subprocess
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.server import ROOT, free_port

PORTS = {"main_server": 8000, "device1": 8001, "device2": 8002}

_NOT_COPIED = shutil.ignore_patterns(".*_cache", ".git", ".venv", "state", "__pycache__", "tests")


class Federation:
    """Runs docker compose, and calls the three servers.

    Args:
        directory: an empty folder; gets what a fresh clone holds.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.project = f"fedbell-test-{uuid.uuid4().hex[:8]}"
        shutil.copytree(ROOT, directory, dirs_exist_ok=True, ignore=_NOT_COPIED)
        for device in ("device1", "device2"):
            shutil.rmtree(directory / "dataset" / device, ignore_errors=True)
            (directory / "dataset" / device).mkdir()
        self._ports = {name: free_port() for name in PORTS}
        self._environment = os.environ | {
            f"{name.upper()}_PORT": str(port) for name, port in self._ports.items()
        }
        self._http = httpx.Client(trust_env=False, timeout=300)

    def compose(self, *arguments: str) -> str:
        """Run docker compose; what it printed."""
        return self._run("docker", "compose", "--project-name", self.project, *arguments)

    def docker(self, *arguments: str) -> str:
        """Run docker; what it printed."""
        return self._run("docker", *arguments)

    def python(self, server: str, script: str) -> str:
        """Run a Python script in a server's container; what it printed, stripped."""
        return self.compose("exec", "-T", server, "python", "-c", script).strip()

    def container(self, server: str) -> str:
        """The id of a server's container, running or not."""
        return self.compose("ps", "--all", "--quiet", server).strip()

    def inspect(self, server: str) -> dict[str, Any]:
        """What docker knows of a server's container."""
        told: list[dict[str, Any]] = json.loads(self.docker("inspect", self.container(server)))
        return told[0]

    def post(
        self, path: str, body: dict[str, Any] | None = None, server: str = "main_server"
    ) -> Any:
        """Call a server; its answer, which must be 200."""
        response = self._http.post(self._url(server, path), json=body or {})
        assert response.status_code == 200, response.text
        return response.json()

    def get(self, path: str, server: str = "main_server") -> Any:
        """Read from a server; its answer, which must be 200."""
        response = self._http.get(self._url(server, path))
        assert response.status_code == 200, response.text
        return response.json()

    def devices(self, task: str = "digits") -> dict[str, dict[str, Any]]:
        """By name, the devices that are there now and say how they do in a task."""
        return {
            device["name"]: device["tasks"][task]
            for device in self.get("/devices")["devices"]
            if device["online"] and task in device["tasks"]
        }

    def newest_version(self) -> int:
        """The newest version of digits; -1 before the first."""
        version = self.get("/tasks")["tasks"][0]["version"]
        return -1 if version is None else int(version)

    def wait_for_devices(self, *names: str) -> None:
        """Wait until exactly these devices are there, with the newest version."""
        self.wait_until(
            lambda: (
                {name: told["version"] for name, told in self.devices().items()}
                == dict.fromkeys(names, self.newest_version())
            )
        )

    def wait_until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Wait until something is so; the servers' last lines when it never is."""
        pause = threading.Event()
        for _ in range(round(seconds / 0.5)):
            try:
                if condition():
                    return
            except httpx.TransportError:
                pass
            pause.wait(0.5)
        raise AssertionError(f"not within {seconds} s:\n{self.compose('logs', '--tail=30')}")

    def close(self) -> None:
        """Remove containers, networks, volumes and images."""
        self._http.close()
        self.compose("down", "--volumes", "--remove-orphans", "--rmi=local", "--timeout=5")

    def _url(self, server: str, path: str) -> str:
        return f"http://127.0.0.1:{self._ports[server]}{path}"

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout
