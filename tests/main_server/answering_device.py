"""A device that answers the steps over real HTTP, without the learning: it fails when told to."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from flask.testing import FlaskClient
from safetensors.numpy import load

from .conftest import ThinDevice

CONFUSION = [[0, 0, 2], [1, 0, 1], [1, 1, 1]]
EVALUATION = {"accuracy": 0.75, "loss": 0.5, "num_samples": 4, "confusion": CONFUSION}
HISTORY = {"loss": [1.0, 0.5], "accuracy": [0.5, 0.861], "val_accuracy": [0.4, 0.84]}


class AnsweringDevice(ThinDevice):
    """Enrolled, with version 0 offered.

    Attributes:
        adds: what its training adds to each number of the version it starts from.
        sends: what its update's header says beside what is right.
        failing: by step, kind and detail of the problem it answers.
        held: steps that are answered only once the event of theirs is set.
        asked: the steps it was asked for, in order.
    """

    def __init__(self, client: FlaskClient, name: str, task: str = "digits") -> None:
        super().__init__(client, name, task)
        self.adds, self.num_samples = 1.0, 10
        self.sends: dict[str, Any] = {}
        self.failing: dict[str, tuple[str, str]] = {}
        self.held: dict[str, threading.Event] = {}
        self.asked: list[str] = []
        self._trained: int | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._answer))
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()
        assert self.beat().status_code == 200
        assert self.offer().status_code in {200, 201}

    def close(self) -> None:
        """Be away from now on."""
        self._server.shutdown()
        self._server.server_close()

    def beat(self, **told: Any) -> Any:
        """A heartbeat; ``told`` of the task."""
        tasks = {self.task: {"num_samples": self.num_samples} | told}
        return self.status(url=f"http://127.0.0.1:{self._server.server_port}", tasks=tasks)

    def train(self) -> None:
        """As when pictures came: nobody has asked for it."""
        self._trained = int(self._latest()[0])

    def forget_training(self) -> None:
        """As when its state was deleted."""
        self._trained = None

    def send_trained(self) -> Any:
        """The update of :meth:`train`; it is no longer there once it has counted."""
        version = self._trained
        assert version is not None
        metrics = json.dumps({name: values[-1] for name, values in HISTORY.items()})
        weights = {name: array + self.adds for name, array in self._latest()[1].items()}
        told = {
            "base_version": version,
            "num_samples": self.num_samples,
            "metrics": metrics,
            "history": json.dumps(HISTORY),
        }
        answer = self.send(self.update(weights, **told | self.sends))
        if answer.status_code == 200:
            self._trained = None
        return answer

    def _latest(self) -> tuple[str, dict[str, Any]]:
        answer = self.client.get(
            f"/models/latest?task={self.task}", headers=self.headers, buffered=True
        )
        version = answer.headers["Fedbell-Version"]
        return version, load(answer.data)

    def _answer(self, step: str) -> tuple[int, Any]:
        self.asked.append(step)
        if step in self.held:
            assert self.held[step].wait(30)
        problem = self.failing.get(step)
        if step == "sendmodel" and self._trained is None:
            problem = ("nothing-to-send", "Nothing is trained.")
        if problem is not None:
            kind, detail = problem
            return 409, {"type": f"urn:fedbell:problem:{kind}", "title": "No", "detail": detail}
        if step == "modeltrain":
            self.train()
            return 200, {
                "task": self.task,
                "base_version": self._trained,
                "base": "newest",
                "epochs": 2,
                "batch_size": 8,
                "learning_rate": 0.1,
                "num_samples": self.num_samples,
                "history": HISTORY,
                "evaluation": None,
                "skipped": 1,
                "seconds": 0.1,
            }
        if step == "sendmodel":
            told = self.send_trained()
            return told.status_code, told.json
        version = int(self._latest()[0])
        installed = {"task": self.task, "version": version, "installed": True}
        return 200, installed | {"evaluation": EVALUATION}


def _handler(answer: Callable[[str], tuple[int, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, told = answer(urlsplit(self.path).path.strip("/"))
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
