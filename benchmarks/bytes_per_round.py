"""What a round moves: every byte between one device and the main server, HTTP's own included.

A real main server and a real device, a task of two classes, depth ``head``, at the width that
tasks have unless they say otherwise (built-in backbone) and at the full width (ImageNet's, from
$FEDBELL_TEST_DATA). Before each of the two stands a proxy that counts. Against: the 13 MB of a
whole MobileNet 1.0 that the common implementation sends twice a round.
"""

import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.report import TEST_DATA, Claim, begin
from shared.learning.backbone import imagenet_file
from tests.federation import Federation

#: Two times the weights of a MobileNet 1.0 without its classifier, 3,228,864 float32.
REFERENCE_KILOBYTES = 2 * 3_228_864 * 4 / 1000
#: A heartbeat comes every few seconds, rounds or not, and is not counted.
_HEARTBEAT = b"POST /clientstatus"
_METHODS = (b"GET ", b"POST ", b"PUT ")
_TASKS = """
    [tasks.shades]
    classes = ["dark", "light"]
    image_size = {size}
    alpha = {alpha}
    backbone = "{backbone}"
    training = {{ epochs = 1, batch_size = 8, learning_rate = 0.01 }}
"""


@dataclass
class Counts:
    """Bytes of those who call: what they send, and what they are answered."""

    up: int = 0
    down: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, number: int) -> None:
        with self.lock:
            setattr(self, name, getattr(self, name) + number)


@contextmanager
def counting_proxy(port: int) -> Iterator[tuple[str, Counts]]:
    """The address of a proxy to 127.0.0.1:port, and what has gone through it."""
    counts = Counts()
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket, name: str, told: list[bytes]) -> None:
        with suppress(OSError):
            while block := source.recv(65536):
                if name == "up" and block.startswith(_METHODS):
                    told[:] = [block]
                if not told[0].startswith(_HEARTBEAT):
                    counts.add(name, len(block))
                target.sendall(block)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                device, _ = listener.accept()
                try:
                    main = socket.create_connection(("127.0.0.1", port), timeout=30)
                except OSError:
                    device.close()
                    continue
                told = [b""]  # the call that is under way
                for pair in ((device, main, "up", told), (main, device, "down", told)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", counts
    finally:
        listener.close()


def measure(folder: Path, alpha: float, backbone: str, size: int, rounds: int) -> dict[str, Any]:
    """Bytes a round, mean over ``rounds``."""
    tasks = _TASKS.format(alpha=alpha, backbone=backbone, size=size)
    federation = Federation(folder, tasks, devices=["device1"])
    device = federation.devices["device1"]
    (folder / "backbones").mkdir()
    weights = TEST_DATA / "weights" / imagenet_file(alpha)
    if backbone == "imagenet":
        (folder / "backbones" / weights.name).symlink_to(weights.absolute())
    federation.write_pictures()
    with (
        counting_proxy(federation.main.port) as (main_url, called),
        counting_proxy(device.port) as (device_url, asked),
    ):
        device.environment |= {"MAIN_SERVER_URL": main_url, "DEVICE_URL": device_url}
        try:
            federation.start()
            federation.main.do("/run_rounds", {"rounds": 1})
            before = called.up + asked.down, called.down + asked.up
            federation.main.do("/run_rounds", {"rounds": rounds})
            told = federation.rounds()[-1]
            assert told["version"] == rounds + 1
            return {
                "kilobytes_up": (called.up + asked.down - before[0]) / rounds / 1000,
                "kilobytes_down": (called.down + asked.up - before[1]) / rounds / 1000,
                "update_kilobytes": told["bytes_received"] / 1000,
            }
        finally:
            federation.close()


def main() -> None:
    run = begin("bytes_per_round", __doc__)
    rounds = 2 if run.quick else 5
    networks = {"width 0.25": (0.25, "builtin", 96)}
    if (TEST_DATA / "weights" / imagenet_file(1.0)).exists():
        networks["width 1.0"] = (1.0, "imagenet", 96)
    else:
        print(f"width 1.0 is left out: there are no weights in {TEST_DATA}.", file=sys.stderr)
    results = {}
    for name, settings in networks.items():
        with tempfile.TemporaryDirectory() as folder:
            results[name] = measure(Path(folder), *settings, rounds)
        print(f"{name}: {results[name]}", flush=True)
    claims = []
    for name, told in results.items():
        ways = {"up": told["kilobytes_up"], "down": told["kilobytes_down"]}
        ways["up and down"] = sum(ways.values())
        claims += [
            Claim(
                f"bytes per device and round, 2 classes, head, {name}, {way}",
                "",
                kilobytes,
                None,
                "kB",
                12,
                limit="at most",
            )
            for way, kilobytes in ways.items()
        ]
    run.save({"rounds": rounds, "reference_kilobytes": REFERENCE_KILOBYTES, **results}, claims)


if __name__ == "__main__":
    main()
