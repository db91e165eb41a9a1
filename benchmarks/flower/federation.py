"""A SuperLink and SuperNodes on this machine, as Flower's own commands start them.

Flower has an environment of its own, .venv-flower: its packages and Fedbell's exclude one
another. Its fastest settings for one machine are used: no TLS, state in memory, task
launchers that look every 0.1 s (1 s by default), no installing of packages at run time.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.server import children, free_port, is_gone, wait_until

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv-flower" / "bin"
HOW_TO_INSTALL = (
    "Flower is not installed here (make compared installs it); Fedbell alone is measured."
)
#: Flower's default is 1. Less, such as the 0.01 that it allows at least, is no faster here.
LOOK_SECONDS = 0.1
_APP = Path(__file__).with_name("app")
_START_SECONDS = 60
_RUN_SECONDS = 900
_STOP_SECONDS = 10


@dataclass(frozen=True)
class Node:
    """What a SuperNode's training adds to every weight, and its number of samples."""

    added: float
    samples: int


def installed() -> bool:
    """Whether Flower can be run."""
    return (BIN / "flower-superlink").exists()


def version() -> str:
    """Flower's."""
    told = subprocess.run([BIN / "flwr", "--version"], capture_output=True, text=True, check=True)
    return told.stdout.split()[-1]


class Flower:
    """A running federation of Flower's.

    Args:
        directory: for all it writes.
        nodes: its SuperNodes.
        look_seconds: how often the launchers of tasks look for one.
    """

    def __init__(self, directory: Path, nodes: Sequence[Node], look_seconds: float) -> None:
        self._directory = directory
        self._nodes = nodes
        self._log = directory / "flower.log"
        self._port = free_port()
        self._environment = os.environ | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(directory),
            "FLWR_HOME": str(directory / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": str(look_seconds),
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ran = 0

    def start(self) -> None:
        """Start the SuperLink, and once it answers, the SuperNodes."""
        home = self._directory / "flwr"
        home.mkdir(parents=True)
        (home / "config.toml").write_text(
            '[superlink]\ndefault = "here"\n\n[superlink.here]\n'
            f'address = "127.0.0.1:{self._port}"\ninsecure = true\n'
        )
        self._begin(
            "flower-superlink",
            *("--insecure", "--host", "127.0.0.1", "--port", str(self._port)),
            "--disable-runtime-dependency-installation",
        )
        wait_until(lambda: _listens(self._port), _START_SECONDS)
        for node in self._nodes:
            self._begin(
                "flower-supernode",
                *("--insecure", "--superlink", f"127.0.0.1:{self._port}"),
                *("--host", "127.0.0.1", "--port", str(free_port())),
                *("--node-config", f"added={node.added} samples={node.samples}"),
            )

    def server_processes(self) -> list[int]:
        """The SuperLink and all that it started: the ServerApp among them."""
        return _family(self._processes[0].pid)

    def _begin_run(self, config: Mapping[str, Any]) -> Path:
        """Submit a run; the file that will hold its result as JSON."""
        self._ran += 1
        result = self._directory / f"result{self._ran}.json"
        values = {**config, "nodes": len(self._nodes), "result": str(result)}
        told = " ".join(f"{key}={json.dumps(value)}" for key, value in values.items())
        subprocess.run(
            [BIN / "flwr", "run", _APP, "here", "--run-config", told],
            env=self._environment,
            cwd=self._directory,
            check=True,
            timeout=_START_SECONDS,
            stdout=subprocess.DEVNULL,
        )
        return result

    def run(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Submit a run and wait for its result; ``total_seconds`` is how long that took."""
        started = time.monotonic()
        file = self._begin_run(config)
        result: dict[str, Any] = json.loads(wait_until(lambda: _read(file), _RUN_SECONDS))
        return result | {"total_seconds": time.monotonic() - started}

    def stop(self) -> None:
        """End all processes, those that they started too."""
        family = [process for each in self._processes for process in _family(each.pid)]
        for process in reversed(self._processes):
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        wait_until(lambda: all(is_gone(process) for process in family))

    def tail(self) -> str:
        """The end of what its processes printed."""
        return self._log.read_text(errors="replace")[-4000:]

    def _begin(self, command: str, *arguments: str) -> None:
        with self._log.open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    [BIN / command, *arguments],
                    env=self._environment,
                    cwd=self._directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )


@contextmanager
def flower(
    directory: Path, nodes: Sequence[Node], look_seconds: float = LOOK_SECONDS
) -> Iterator[Flower]:
    """It runs."""
    federation = Flower(directory, nodes, look_seconds)
    try:
        federation.start()
        yield federation
    except BaseException as error:
        error.add_note(federation.tail())
        raise
    finally:
        federation.stop()


def _read(file: Path) -> str | None:
    """The result of a run, once it is there whole."""
    text = file.read_text() if file.exists() else ""
    return text if text.endswith("}") else None


def _family(process: int) -> list[int]:
    return [process, *(each for child in children(process) for each in _family(child))]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
