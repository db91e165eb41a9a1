"""Real servers for these tests, each a Gunicorn of its own, and a connection that can be cut."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx

ROOT = Path(__file__).parents[2]
_WAIT_SECONDS = 60

#: The steps of the task that most tests are about.
TRAIN, SEND, INSTALL = "/modeltrain?task=shades", "/sendmodel?task=shades", "/aggmodel?task=shades"


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], Any], seconds: float = _WAIT_SECONDS) -> Any:
    """Ask again until the answer is true, and return it."""
    deadline = monotonic() + seconds
    pause = threading.Event()
    while not (answer := condition()):
        assert monotonic() < deadline, f"waited {seconds} s in vain"
        pause.wait(0.05)
    return answer


class Server:
    """One Gunicorn, serving ``application`` with settings from the environment."""

    def __init__(self, application: str, directory: Path, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.state = directory
        self.log = directory / "server.log"
        self._application = application
        self._environment = environment
        self.http = httpx.Client(base_url=self.url, timeout=_WAIT_SECONDS, trust_env=False)

    def start(self, wait: bool = True) -> None:
        """Start it and, unless told otherwise, wait until it answers."""
        self.state.mkdir(parents=True, exist_ok=True)
        environment = {
            "BIND": f"127.0.0.1:{self.port}",
            "STATE_DIRECTORY": str(self.state),
            "DEVICE_URL": self.url,
            "PYTHONUNBUFFERED": "1",
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", self._application],
                cwd=ROOT,
                env=os.environ | environment | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            wait_until(self.answers)

    def stop(self) -> None:
        """End it, kindly and then not."""
        self.http.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """kill -9 of the whole Gunicorn; the trainer is no member of its group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def answers(self) -> bool:
        """Whether it takes calls."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """POST JSON, or nothing at all."""
        if body is not None:
            options["json"] = body
        return self.http.post(path, **options)

    def status(self) -> dict[str, Any]:
        """What GET /status says."""
        answer: dict[str, Any] = self.http.get("/status").json()
        return answer

    def task(self, name: str) -> Any:
        """What GET /status says of a task; None while the device does not know it."""
        return self.status()["tasks"].get(name)


class Connection:
    """Stands between a device and its main server: can be cut, and keeps what went through."""

    def __init__(self) -> None:
        self.target = ""
        #: Changes models on their way to the device.
        self.tamper: Callable[[bytes], bytes] | None = None
        self.sent: list[tuple[str, bytes]] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: ThreadingHTTPServer | None = None

    def connect(self, target: str) -> None:
        """Pass calls on to ``target``."""
        self.cut()
        self.target = target
        connection = self

        class Handler(BaseHTTPRequestHandler):
            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                connection.sent.append((f"{self.command} {self.path}", body))
                parts = urlsplit(connection.target)
                onward = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
                headers = {name: value for name, value in self.headers.items() if name != "Host"}
                onward.request(self.command, self.path, body, headers)
                answer = onward.getresponse()
                content = answer.read()
                onward.close()
                if connection.tamper and self.path.startswith("/models/"):
                    content = connection.tamper(content)
                self.send_response(answer.status)
                for name in ("Content-Type", "ETag"):
                    if value := answer.getheader(name):
                        self.send_header(name, value)
                if answer.status != http.client.NOT_MODIFIED:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = _pass_on  # noqa: N815 - named by http.server

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()

    def cut(self) -> None:
        """Refuse every connection from now on."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def wait_for_version(device: Server, number: int) -> Any:
    """The status of task shades once version ``number`` is installed and measured."""

    def installed() -> Any:
        task = device.task("shades")
        evaluation = task and task["evaluation"]
        return task if evaluation and evaluation["version"] == number else None

    return wait_until(installed)


def dataset(device: Server) -> Path:
    """The device's pictures, as conftest.py writes them."""
    return device.state.parent / "dataset"
