"""A wire between two servers that keeps every byte, and what connects to where."""

import contextlib
import os
import socket
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path

_AUDIT_FILE = "CONNECTIONS_FILE"
_GZIP = b"\x1f\x8b\x08"

#: Loaded by every Python process that has its folder in PYTHONPATH: notes who is connected to.
_AUDIT = f"""
import os, sys

def note(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple):
            with open(os.environ["{_AUDIT_FILE}"], "a") as file:
                file.write(f"{{address[0]}} {{address[1]}}\\n")

sys.addaudithook(note)
"""


class Wire:
    """Listens, passes all on to ``port`` of this machine and back, and records both ways.

    Args:
        port: where it leads.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        #: One for each direction of each connection.
        self._recorded: list[bytearray] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def recorded(self) -> list[bytes]:
        """All that went over it, and also unpacked what went over it packed."""
        plain = [bytes(each) for each in self._recorded]
        return [*plain, *(unpacked for each in plain for unpacked in _unpacked(each))]

    def close(self) -> None:
        """Take no further connection."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        # Whoever is there may not run, and either end may hang up.
        with (
            near,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._target)) as far,
        ):
            back = threading.Thread(target=self._copy, args=(far, near), daemon=True)
            back.start()
            self._copy(near, far)
            back.join()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        record = bytearray()
        self._recorded.append(record)
        with contextlib.suppress(OSError):  # one end hung up: what it said is recorded
            while data := source.recv(65536):
                record += data
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def _unpacked(data: bytes) -> Iterable[bytes]:
    """What each gzip stream in ``data`` holds."""
    at = data.find(_GZIP)
    while at >= 0:
        unpacking = zlib.decompressobj(31)
        with contextlib.suppress(zlib.error):  # three bytes that only look like one
            yield unpacking.decompress(data[at:])
        at = data.find(_GZIP, at + 1)


def audited(directory: Path) -> dict[str, str]:
    """The environment of a server whose connections are noted in ``directory``."""
    directory.mkdir(parents=True)
    (directory / "sitecustomize.py").write_text(_AUDIT)
    search = [str(directory), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "PYTHONPATH": os.pathsep.join(search),
        _AUDIT_FILE: str(directory / "connections"),
    }


def connections(environment: dict[str, str]) -> set[tuple[str, int]]:
    """Where the processes of an audited server have connected to: hosts and ports."""
    lines = Path(environment[_AUDIT_FILE]).read_text().splitlines()
    return {(host, int(port)) for host, port in (line.split() for line in lines)}
