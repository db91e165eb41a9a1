"""Uploads as these tests make them, and what holds whatever was uploaded."""

import hashlib
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.datasets import pictures
from tests.server import Server, wait_until

CALL = "/pictures?task=shades"
MIB = 2**20


def picture(seed: int, suffix: str = ".jpg", side: int = 24) -> bytes:
    """A file that no other seed gives."""
    return pictures.encoded(pictures.noise(side, side, seed), suffix)


def send(device: Server, files: list[tuple[str, bytes]], call: str = CALL) -> httpx.Response:
    """Upload files, again while the device is busy; the answer."""
    while True:
        answer = device.http.post(call, files=[("pictures", each) for each in files])
        if answer.status_code != 503:
            return answer
        assert int(answer.headers["Retry-After"]) > 0
        time.sleep(0.1)


def ids(device: Server) -> set[str]:
    """Of all pictures of the task."""
    found: set[str] = set()
    before = ""
    while True:
        page = device.get(f"{CALL}&limit=500{before}")
        found |= {row["id"] for row in page["pictures"]}
        if page["next"] is None:
            return found
        before = f"&before={page['next']!r}"


def check_that_files_and_rows_agree(device: Server) -> set[str]:
    """Each picture is there and is what its name says, and no other file is; their ids."""
    here = ids(device)
    folder = device.state / "pictures" / "shades"
    assert {file.stem for file in folder.iterdir()} == here
    for file in folder.iterdir():
        assert hashlib.sha256(file.read_bytes()).hexdigest() == file.stem
        assert device.http.get(f"/pictures/shades/{file.stem}/thumbnail").is_success
    return here


@contextmanager
def own_device(main_server: Server, directory: Path, **settings: str) -> Iterator[Server]:
    """A device for one test alone, which knows its tasks; its state lies in ``directory``."""
    environment = {
        "DEVICE_NAME": f"device-{directory.name}".lower()[:60],  # one name has one token
        "MAIN_SERVER_URL": main_server.url,
        "DATASET_DIRECTORY": str(directory / "dataset"),
        "BACKBONE_DIRECTORY": str(directory / "backbones"),
    }
    server = Server("device2.wsgi:app", directory, environment | settings)
    try:
        server.start()
        wait_until(lambda: server.task("shades"))
        yield server
    finally:
        server.stop()


def say(device: Server, *head: str) -> socket.socket:
    """A connection on which the beginning of an upload was sent, as ``head`` describes it."""
    connection = socket.create_connection(("127.0.0.1", device.port), timeout=30)
    lines = [
        f"POST {CALL} HTTP/1.1",
        f"Host: 127.0.0.1:{device.port}",
        "Content-Type: multipart/form-data; boundary=xxx",
        *head,
        "",
        "",
    ]
    connection.sendall("\r\n".join(lines).encode())
    return connection


def answer_of(connection: socket.socket) -> str:
    """All that comes until the other side is done."""
    told = b""
    with connection:
        while more := connection.recv(65536):
            told += more
            if b"}" in told:
                break
    return told.decode()
