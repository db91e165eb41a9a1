"""The process of the thin devices: ``python -m benchmarks.thin_device_process``.

Updates go from a file to the socket inside the kernel, and what is read goes into one buffer
that nobody looks at, so that the devices leave the processors to the main server.
"""

import http.client
import json
import os
import resource
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from benchmarks.thin_devices import KINDS, TASK, samples, weights
from shared.federated.answers import Installed, Sent, Trained
from shared.federated.evaluation import DeviceEvaluation
from shared.federated.update import UpdateHeader
from shared.federated.weights import Array, Schema, write_weights

_BACKBONE = "0" * 64
_SECONDS = 600
#: Where all that is read goes.
_NOTHING = bytearray(1024 * 1024)
_LENGTH_BYTES = 8


class _Update:
    """A prepared update: a file whose arrays are sent as they are, under any header."""

    def __init__(self, file: Path, content: dict[str, Array]) -> None:
        write_weights(file, content)
        self.file = file
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
            self._header = json.loads(opened.read(length))
        self.start = _LENGTH_BYTES + length
        self.bytes = file.stat().st_size - self.start

    def header(self, metadata: dict[str, str]) -> bytes:
        """What comes before the arrays."""
        text = json.dumps({"__metadata__": metadata} | self._header).encode()
        text += b" " * (-len(text) % _LENGTH_BYTES)
        return len(text).to_bytes(_LENGTH_BYTES, "little") + text


class _Device:
    """One device. Steps of one device never run side by side."""

    def __init__(self, main_port: int, index: int, update: _Update, fingerprint: str) -> None:
        self._main_port = main_port
        self.name = f"device{index:03}"
        self._samples = samples(index)
        self._token = self.name.ljust(40, "-")
        self._update = update
        self._fingerprint = fingerprint
        self._version, self._etag = 0, ""
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)

    def say_hello(self) -> None:
        """Enrol, later the heartbeat: the call that a device makes every few seconds."""
        port = self.listener.getsockname()[1]
        body = {
            "device": self.name,
            "url": f"http://127.0.0.1:{port}",
            "tasks": {TASK: {"num_samples": self._samples, "version": self._version}},
        }
        self._call("POST", "/clientstatus", json.dumps(body).encode(), kind="application/json")

    def offer(self) -> None:
        """Offer version 0: what this device would send."""
        metadata = {"task": TASK, "backbone": _BACKBONE, "fingerprint": self._fingerprint}
        self._send("PUT", "/models/0", metadata)

    def modeltrain(self, _asked: dict[str, Any]) -> Trained:
        """Train nothing."""
        return Trained(
            task=TASK,
            base_version=self._version,
            base="newest",
            epochs=1,
            batch_size=16,
            learning_rate=0.001,
            num_samples=self._samples,
            history={"loss": [0.5]},
            evaluation=None,
            skipped=0,
            seconds=0,
        )

    def sendmodel(self, _asked: dict[str, Any]) -> Sent:
        """Send the prepared update."""
        header = UpdateHeader(
            task=TASK,
            device=self.name,
            base_version=self._version,
            num_samples=self._samples,
            metrics={"loss": 0.5},
            fingerprint=self._fingerprint,
        )
        return Sent.model_validate_json(self._send("POST", "/cmodel", header.as_metadata()))

    def aggmodel(self, asked: dict[str, Any]) -> Installed:
        """Read a version, unless it is here."""
        version: int = asked["version"]
        connection = self._connection()
        headers = {"If-None-Match": self._etag} if self._etag else {}
        connection.request("GET", f"/models/{version}", headers=self._headers() | headers)
        answer = connection.getresponse()
        received = 0
        while count := answer.readinto(_NOTHING):
            received += count
        assert answer.status == http.client.OK, answer.status
        assert received == int(answer.headers["Content-Length"]), "the whole version came"
        connection.close()
        self._version, self._etag = version, answer.headers["ETag"]
        evaluation = DeviceEvaluation(accuracy=0.5, loss=0.5, num_samples=self._samples)
        return Installed(task=TASK, version=version, installed=True, evaluation=evaluation)

    def _send(self, method: str, path: str, metadata: dict[str, str]) -> bytes:
        header = self._update.header(metadata)
        connection = self._connection()
        connection.putrequest(method, path)
        for name, value in self._headers().items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(header) + self._update.bytes))
        connection.endheaders(header)
        with self._update.file.open("rb") as arrays, suppress(ConnectionError):
            connection.sock.sendfile(arrays, self._update.start)
        # A main server that hung up has said why.
        return _body(connection)

    def _call(self, method: str, path: str, body: bytes, kind: str) -> bytes:
        connection = self._connection()
        connection.request(method, path, body, self._headers() | {"Content-Type": kind})
        return _body(connection)

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._main_port, timeout=_SECONDS)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}", "Connection": "close"}


def _body(connection: http.client.HTTPConnection) -> bytes:
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status in {http.client.OK, http.client.CREATED}, body.decode()
    connection.close()
    return body


def _answer(device: _Device, connection: socket.socket) -> None:
    """Serve the one call of a connection of the main server's."""
    steps: dict[str, Callable[[dict[str, Any]], BaseModel]] = {
        "modeltrain": device.modeltrain,
        "sendmodel": device.sendmodel,
        "aggmodel": device.aggmodel,
    }
    with connection, connection.makefile("rb") as call:
        words = call.readline().split()
        length = 0
        while (line := call.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        asked = json.loads(call.read(length) or b"{}")
        step = words[1].decode().strip("/").partition("?")[0]
        try:
            status, told = "200 OK", steps[step](asked).model_dump_json()
        except Exception as error:  # noqa: BLE001 - told to the main server, which counts it
            detail = f"{type(error).__name__}: {error}"
            status = "500 Failed"
            told = json.dumps({"type": "urn:thin", "title": "Failed", "detail": detail})
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        connection.sendall(f"{head}Content-Length: {len(told)}\r\n\r\n{told}".encode())


def _serve(devices: list[_Device]) -> None:
    """Answer all devices' calls, each in a thread of its own, for ever."""
    with selectors.DefaultSelector() as selector:
        for device in devices:
            selector.register(device.listener, selectors.EVENT_READ, device)
        while True:
            for key, _ in selector.select():
                connection, _ = key.data.listener.accept()
                threading.Thread(target=_answer, args=(key.data, connection), daemon=True).start()


def _seconds_of_a_call(devices: list[_Device]) -> float:
    """Have every device say that it is there, one after the other; the mean."""
    begun = time.perf_counter()
    for device in devices:
        device.say_hello()
    return (time.perf_counter() - begun) / len(devices)


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    main_port, number, numbers = (int(argument) for argument in sys.argv[1:4])
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # a socket for each
    directory = Path(sys.argv[4])
    contents = [weights(kind, numbers) for kind in range(KINDS)]
    fingerprint = Schema.of(contents[0]).fingerprint(_BACKBONE)
    updates = [
        _Update(directory / f"update{kind}.safetensors", content)
        for kind, content in enumerate(contents)
    ]
    contents.clear()
    devices = [
        _Device(main_port, index, updates[index % KINDS], fingerprint) for index in range(number)
    ]
    threading.Thread(target=_serve, args=(devices,), daemon=True).start()
    told = {"enrolment_seconds": _seconds_of_a_call(devices)}
    devices[0].offer()
    told["heartbeat_seconds"] = _seconds_of_a_call(devices)
    print(json.dumps(told), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
