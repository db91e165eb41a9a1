"""A real federation for the pages' tests and pictures: a main server, two devices, Chromium."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from shared.datasets.digits import write_digits
from tests.device.processes import Server, wait_until

DEVICES = ("device1", "device2")

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_OPTIONS = (
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
)


def find_chromium() -> str | None:
    """Where the browser is: $CHROMIUM, or the first of the usual names on the PATH."""
    chosen = os.environ.get("CHROMIUM")
    return shutil.which(chosen) if chosen else next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """The browser, running without a window."""
    options = [*_OPTIONS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


class Federation:
    """A main server with two workers, and two devices with the built-in digits.

    Args:
        directory: where their state and pictures go.
        tasks: a tasks.toml.
        heartbeat_seconds: how often devices call; lost after three missed.
    """

    def __init__(self, directory: Path, tasks: Path, heartbeat_seconds: float) -> None:
        self.dataset = directory / "dataset"
        self.backbones = directory / "backbones"
        write_digits(self.dataset, DEVICES)
        self.main_server = Server(
            "main_server.wsgi:app",
            directory / "main_server",
            TASKS_FILE=str(tasks),
            WORKERS="2",
            HEARTBEAT_SECONDS=str(heartbeat_seconds),
        )
        self.devices = {
            name: Server(
                f"{name}.wsgi:app",
                directory / name,
                MAIN_SERVER_URL=self.main_server.url,
                DATASET_DIRECTORY=str(self.dataset / name),
                BACKBONE_DIRECTORY=str(self.backbones),
            )
            for name in DEVICES
        }

    def start_devices(self) -> None:
        """Start both devices and wait until each has measured the global model of digits."""
        for device in self.devices.values():
            device.start(wait=False)
        for device in self.devices.values():
            wait_until(device.answers)
            self.wait_until_measured(device)

    def wait_until_measured(self, device: Server) -> None:
        """Wait until a device has installed and evaluated the newest version of digits."""
        wait_until(lambda: (device.task("digits") or {}).get("evaluation"))

    def stop(self) -> None:
        """Stop every server that was started."""
        for server in (*self.devices.values(), self.main_server):
            if hasattr(server, "process"):
                server.stop()
