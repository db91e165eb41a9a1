"""A real federation for the pages' tests and pictures: a main server, two devices, Chromium."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from shared.datasets.digits import write_digits
from tests.federation import Federation as Servers
from tests.server import Server, wait_until

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


class Federation(Servers):
    """A main server with two workers, and two devices with the built-in digits.

    Args:
        directory: where all they have goes.
        tasks: the text of a tasks.toml.
        heartbeat_seconds: how often devices call; lost after three missed.
    """

    def __init__(self, directory: Path, tasks: str, heartbeat_seconds: float) -> None:
        super().__init__(directory, tasks, heartbeat_seconds, DEVICES)
        write_digits(directory / "dataset", DEVICES)

    def start_devices(self) -> None:
        """Start both devices and wait until each has measured the global model of digits."""
        for device in self.devices.values():
            device.start(wait=False)
        for device in self.devices.values():
            wait_until(device.is_ready)
            self.wait_until_measured(device)

    def wait_until_measured(self, device: Server) -> None:
        """Wait until a device has installed and evaluated the newest version of digits."""
        wait_until(lambda: (device.task("digits") or {}).get("evaluation"))
