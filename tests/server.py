"""A real server for tests: one Gunicorn, which can be killed and started again."""

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[1]

_WAIT_SECONDS = 60
_STOP_SECONDS = 20
_FIRST_PORT, _PORTS_OF_EACH, _SHARES = 11_000, 2_500, 8


def _ports() -> Iterator[int]:
    """Ports below those that the system gives to whoever wants any, each once.

    So nobody takes a port while its server is down, or not up yet. Where tests run in several
    processes at once, each has ports of its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST_PORT + worker % _SHARES * _PORTS_OF_EACH
    begin = random.randrange(_PORTS_OF_EACH)
    for number in itertools.count(begin):
        yield first + number % _PORTS_OF_EACH


_port = _ports()


def free_port() -> int:
    """A port nobody listens on now, and which is given to nobody else."""
    for port in _port:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise AssertionError("ports never end")


def wait_until(condition: Callable[[], Any], seconds: float = _WAIT_SECONDS) -> Any:
    """Ask again until the answer is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.05)
    return answer


def is_gone(process: int) -> bool:
    """Whether no process has that id any more, or only a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def children(process: int) -> list[int]:
    """The ids of a process's children, whichever of its threads started them."""
    found: list[int] = []
    for thread in Path(f"/proc/{process}/task").glob("*"):
        try:
            found += [int(child) for child in (thread / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


class Server:
    """One Gunicorn: an arbiter, its workers and, of a device, the trainer.

    Args:
        application: what it serves, such as ``main_server.wsgi:app``.
        directory: for its state and its log.
        environment: its settings.
    """

    def __init__(self, application: str, directory: Path, environment: Mapping[str, str]) -> None:
        self.name = application.partition(".")[0]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.state = directory / "state"
        self.log = directory / "server.log"
        self.environment = dict(environment)
        self._application = application
        self._process: subprocess.Popen[bytes] | None = None
        # A new connection for each call: any worker may get it, and none outlives a kill.
        self.http = httpx.Client(
            base_url=self.url,
            timeout=_WAIT_SECONDS,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def start(self, wait: bool = True) -> None:
        """Start it and, unless told otherwise, wait until it is ready."""
        assert self._process is None, f"{self.name} runs already"
        self.state.mkdir(parents=True, exist_ok=True)
        own = {
            "BIND": f"127.0.0.1:{self.port}",
            "STATE_DIRECTORY": str(self.state),
            "DEVICE_URL": self.url,
            "PYTHONUNBUFFERED": "1",
            "STOP_WITH_STDIN": "1",  # it ends when the tests are killed
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", self._application],
                cwd=ROOT,
                env=os.environ | own | self.environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            wait_until(self.is_ready)

    def is_ready(self) -> bool:
        """Whether it takes calls; fails the test when it has ended."""
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} ended:\n{self.tail()}"
        try:
            return self.http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    @property
    def runs(self) -> bool:
        """Whether it was started, and neither stopped nor killed since."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The arbiter's process id, and its workers' process group."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    def workers(self) -> list[int]:
        """The workers' process ids."""
        return children(self.pid)

    def family(self) -> list[int]:
        """The process ids of the workers and of a trainer."""
        return [each for worker in self.workers() for each in (worker, *children(worker))]

    def kill(self) -> None:
        """kill -9 of arbiter and workers at once. A trainer has to notice that by itself."""
        family = self.family()
        os.killpg(self.pid, signal.SIGKILL)
        self.wait_for_the_end(family)

    def stop(self) -> None:
        """End it as an operator does; nothing when it does not run."""
        if self._process is None:
            return
        family = self.family()
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
        self.wait_for_the_end(family)

    def wait_for_the_end(self, family: Iterable[int]) -> None:
        """Wait until the arbiter and the processes of ``family`` are gone."""
        assert self._process is not None
        self._process.wait(_WAIT_SECONDS)
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None
        wait_until(lambda: all(is_gone(process) for process in family))

    def exit_status(self) -> int:
        """Wait until it has ended by itself."""
        assert self._process is not None
        status = self._process.wait(_WAIT_SECONDS)
        self.wait_for_the_end([])
        return status

    def status(self) -> dict[str, Any]:
        """What a device's GET /status says."""
        answer: dict[str, Any] = self.get("/status")
        return answer

    def task(self, name: str) -> Any:
        """What GET /status says of a task; None while the device does not know it."""
        return self.status()["tasks"].get(name)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:]

    def get(self, path: str) -> Any:
        """GET JSON."""
        answer = self.http.get(path)
        assert answer.is_success, f"{path}: {answer.text}"
        return answer.json()

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """POST JSON, or nothing at all."""
        if body is not None:
            options["json"] = body
        return self.http.post(path, **options)

    def do(self, path: str, body: Any = None) -> Any:
        """POST, and the JSON of an answer that has to be a success."""
        answer = self.post(path, body)
        assert answer.is_success, f"{path}: {answer.text}"
        return answer.json()

    def begin(self, path: str, body: Any = None) -> str:
        """POST a step that goes on by itself; the address of its job."""
        answer = self.post(path, body, headers={"Prefer": "respond-async"})
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return answer.headers["Location"]

    def ended(self, job: str) -> Any:
        """A job, once it has ended."""

        def over() -> Any:
            row = self.get(job)
            return None if row["status"] == "running" else row

        return wait_until(over)
