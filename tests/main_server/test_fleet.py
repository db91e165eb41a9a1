"""Calls to devices that do not do what they should: their error alone, and in time."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from flask.testing import FlaskClient

from main_server.calling import Step, Target
from main_server.fleet import EveryDeviceFailed, Fleet, NoDevices
from shared.federated.answers import Installed

from .conftest import ThinDevice

GOOD = {
    "task": "digits",
    "version": 1,
    "installed": True,
    "evaluation": {"accuracy": 0.5, "loss": 1.0, "num_samples": 4},
}


class Device:
    """A real HTTP server that answers ``body``, slowly if told so."""

    def __init__(self, body: bytes, status: int = 200, pause: float = 0) -> None:
        hosts: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hosts.append(self.headers["Host"])
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:9/")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    for index in range(len(body) if pause else 1):
                        self.wfile.write(body[index : index + 1] if pause else body)
                        time.sleep(pause)
                except OSError:
                    return  # the main server had enough

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.hosts = hosts
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=[0.02], daemon=True).start()

    @property
    def port(self) -> int:
        return self.server.server_port


@pytest.fixture
def good() -> Iterator[Device]:
    device = Device(json.dumps(GOOD).encode())
    yield device
    device.server.shutdown()
    device.server.server_close()


def install(seconds: float = 5) -> Step:
    return Step("aggmodel", "digits", {"version": 1}, Installed, seconds)


def target(device: Device) -> Target:
    return Target(f"http://127.0.0.1:{device.port}", "127.0.0.1")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"<html>hello</html>", 200, "device-answer"),
        (b"[]", 200, "device-answer"),
        (b'{"error": 1}', 200, "device-answer"),
        (b'{"version": 1, "installed": true}', 200, "device-answer"),
        (json.dumps(GOOD | {"installed": False}).encode(), 200, "device-answer"),
        (json.dumps(GOOD | {"evaluation": {"accuracy": 7}}).encode(), 200, "device-answer"),
        (b"[" * 100_000, 200, "device-answer"),
        (b" " * 2_000_000, 200, "device-away"),
        (b"{}", 302, "device-answer"),
        (b"oops", 500, "device-answer"),
        (b'{"detail": "no type"}', 409, "device-answer"),
        (b'{"type": "urn:fedbell:problem:x", "title": "X", "detail": "why"}', 409, "x"),
    ],
)
def test_what_is_wrong_with_one_device_is_its_own_error(
    good: Device, body: bytes, status: int, kind: str
) -> None:
    bad = Device(body, status)
    answers = Fleet().ask({"good": target(good), "bad": target(bad)}, install())
    bad.server.shutdown()
    bad.server.server_close()
    assert answers["good"]["evaluation"]["accuracy"] == 0.5
    assert answers["bad"]["error"]["type"] == f"urn:fedbell:problem:{kind}"
    assert len(answers["bad"]["error"]["detail"]) <= 2000


def test_a_device_that_trickles_is_given_up(good: Device) -> None:
    slow = Device(b" " * 1000, pause=0.1)
    answers = Fleet().ask({"good": target(good), "slow": target(slow)}, install(seconds=1))
    slow.server.shutdown()
    slow.server.server_close()
    assert "error" not in answers["good"]
    assert answers["slow"]["error"]["type"] == "urn:fedbell:problem:device-timeout"
    assert "within 1 s" in answers["slow"]["error"]["detail"]


def test_answers_are_told_as_they_come_and_each_once(good: Device) -> None:
    slow = Device(b" " * 1000, pause=0.1)
    told: list[list[str]] = []
    targets = {
        "slow": target(slow),
        "good": target(good),
        "away": Target("http://127.0.0.1:9", None),
    }
    answers = Fleet().ask(targets, install(seconds=1), lambda new: told.append(sorted(new)))
    slow.server.shutdown()
    slow.server.server_close()
    assert told[-1] == ["slow"]
    assert sorted(name for names in told for name in names) == ["away", "good", "slow"]
    assert list(answers) == ["slow", "good", "away"]


def test_a_name_is_called_at_the_address_that_was_checked(good: Device) -> None:
    url = f"http://doorbell.example:{good.port}"
    answers = Fleet().ask({"device1": Target(url, "127.0.0.1")}, install())
    assert answers["device1"]["version"] == 1
    assert good.hosts == [f"doorbell.example:{good.port}"]


def test_nobody_to_ask() -> None:
    with pytest.raises(NoDevices, match="digits"):
        Fleet().ask({}, install())


def test_nobody_answers() -> None:
    with pytest.raises(EveryDeviceFailed, match="device1 cannot be reached") as raised:
        Fleet().ask({"device1": Target("http://127.0.0.1:9", "127.0.0.1")}, install())
    assert list(raised.value.members["devices"]) == ["device1"]


TRAINED = {
    "task": "digits",
    "base_version": 0,
    "base": "newest",
    "epochs": 1,
    "batch_size": 8,
    "learning_rate": 0.1,
    "num_samples": 10,
    "history": {"loss": [1.0], "accuracy": [0.5]},
    "evaluation": None,
    "skipped": 0,
    "seconds": 0.1,
}


def test_who_took_no_part_is_told(client: FlaskClient) -> None:
    served = Device(json.dumps(TRAINED).encode())
    device, idle = ThinDevice(client, "device1"), ThinDevice(client, "device2")
    device.status(url=f"http://127.0.0.1:{served.port}")
    device.offer()
    idle.status(tasks={"digits": {"num_samples": 0, "problem": "The folder train is empty."}})
    answer = client.post("/modeltrain").get_json()
    served.server.shutdown()
    served.server.server_close()
    assert answer["devices"]["device1"]["num_samples"] == 10
    assert answer["left_out"] == {"device2": "The folder train is empty."}
    assert client.get("/rounds/1").get_json()["status"] == "open"
    page = client.get("/").text
    assert "The folder train is empty." in page, "its card says why"
