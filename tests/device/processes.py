"""What these tests of a device share: a connection to the main server that can be cut."""

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.server import Server, free_port, wait_until

#: The steps of the task that most tests are about.
TRAIN, SEND, INSTALL = "/modeltrain?task=shades", "/sendmodel?task=shades", "/aggmodel?task=shades"


class Connection:
    """Stands between a device and its main server: can be cut, and keeps what went through."""

    def __init__(self) -> None:
        self.target = ""
        #: Changes models on their way to the device.
        self.tamper: Callable[[bytes], bytes] | None = None
        #: Changes updates on their way to the main server, but not their length.
        self.spoil: Callable[[bytes], bytes] | None = None
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
                if connection.spoil and self.path.startswith("/cmodel"):
                    body = connection.spoil(body)
                parts = urlsplit(connection.target)
                onward = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
                headers = {name: value for name, value in self.headers.items() if name != "Host"}
                try:
                    onward.request(self.command, self.path, body, headers)
                    answer = onward.getresponse()
                    content = answer.read()
                except OSError:  # the main server is gone, and so is this connection
                    self.close_connection = True
                    return
                finally:
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
