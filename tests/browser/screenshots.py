"""``make screenshots``: the pictures in docs/images, of real servers after five rounds."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import FloatRect, Locator, Page

from tests.browser.control import ControlPage
from tests.browser.federation import Federation, chromium, find_chromium
from tests.server import ROOT

_IMAGES = ROOT / "docs" / "images"


def main() -> None:
    """Run five rounds of digits from the page, and take its picture and a device's."""
    path = find_chromium()
    if path is None:
        sys.exit("There is no Chromium on the PATH. Install it, or name it: CHROMIUM=/path/to/it")
    _IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, chromium(path) as browser:
        tasks = (ROOT / "main_server" / "tasks.toml").read_text()
        federation = Federation(Path(directory), tasks, heartbeat_seconds=1)
        try:
            federation.main.start()
            federation.start_devices()
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            control = ControlPage(page, federation.main.url)
            control.run(5)
            control.outcome()
            _take(page, "control-page", control.section("Rounds"))
            page.goto(federation.devices["device1"].url)
            _take(page, "device-page", page.get_by_role("region", name="digits"))
        finally:
            federation.close()


def _take(page: Page, name: str, until: Locator) -> None:
    """Keep the page down to the end of ``until``: the log below it tells a reader nothing."""
    box = until.bounding_box()
    assert box is not None
    clip: FloatRect = {"x": 0, "y": 0, "width": 1280, "height": box["y"] + box["height"]}
    page.screenshot(path=_IMAGES / f"{name}.png", full_page=True, clip=clip)


if __name__ == "__main__":
    main()
