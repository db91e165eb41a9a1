"""``make screenshots``: the pictures in docs/images, of real servers: desktop, phone, dark."""

import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import cv2
from playwright.sync_api import Browser, Page, expect

from tests.browser.federation import Federation, chromium, find_chromium
from tests.server import ROOT

_IMAGES = ROOT / "docs" / "images"
_DESKTOP, _PHONE = (1280, 900), (390, 844)
#: A training that is still going on when its picture is taken.
_LONG = ("epochs = 3\nbatch_size = 16", "epochs = 300\nbatch_size = 1")
_NEXT_HEARTBEAT_SECONDS = 6.0
_SIDE = 160
_WAIT_MILLISECONDS = 60_000


def main() -> None:
    """Run rounds of digits, upload pictures, begin a long training, and take the pictures."""
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
            federation.main.do("/run_rounds?task=digits", {"rounds": 3})
            _choose(federation, "fedprox", mu=0.1)
            federation.main.do("/run_rounds?task=digits", {"rounds": 2})
            _upload(federation)
            _take_device_page(browser, federation)
            _take_strategies(browser, federation)
            _take_comparison(browser, federation)
            _take_control_pages(browser, federation)
        finally:
            federation.close()


def _choose(federation: Federation, strategy: str, **parameters: float) -> None:
    body = {"strategy": strategy, "parameters": parameters}
    federation.main.do("/strategy?task=digits", body)


def _upload(federation: Federation) -> None:
    """Some of device2's digits for device1, and one whose name tells no class."""
    pictures = []
    for digit in range(5, 10):
        folder = federation.dataset("device2", "digits") / "train" / str(digit)
        for number, file in enumerate(sorted(folder.iterdir())[:4]):
            pixels = cv2.imread(str(file))
            assert pixels is not None
            large = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
            content = cv2.imencode(".png", large)[1].tobytes()
            pictures.append((f"{digit}.photo{number}.png", content))
    pictures[7] = ("unnamed.png", pictures[7][1])
    files = [("pictures", picture) for picture in pictures]
    answer = federation.devices["device1"].http.post("/pictures?task=digits", files=files)
    assert answer.is_success, answer.text


def _take_device_page(browser: Browser, federation: Federation) -> None:
    url = f"{federation.devices['device1'].url}/?task=digits"
    for name, size in (("device-page", _DESKTOP), ("device-page-phone", _PHONE)):
        page = _open(browser, url, size, "light")
        _take(page, name, size[1] * 2)
        page.close()


def _take_strategies(browser: Browser, federation: Federation) -> None:
    page = _open(browser, f"{federation.main.url}/strategies?task=digits", _DESKTOP, "light")
    _take(page, "strategies", 1150)
    page.close()


def _take_comparison(browser: Browser, federation: Federation) -> None:
    page = _open(
        browser, f"{federation.main.url}/compare?task=digits&left=1&right=5", _DESKTOP, "light"
    )
    _take(page, "compare", 1000)
    page.close()


def _take_control_pages(browser: Browser, federation: Federation) -> None:
    """In the middle of a training."""
    federation.main.stop()
    file = federation.directory / "tasks.toml"
    assert _LONG[0] in file.read_text()
    file.write_text(file.read_text().replace(*_LONG))
    federation.main.start()
    time.sleep(_NEXT_HEARTBEAT_SECONDS)  # which tells devices of it
    federation.main.post("/modeltrain?task=digits", headers={"Prefer": "respond-async"})
    url = f"{federation.main.url}/?task=digits"
    pictures: tuple[tuple[str, tuple[int, int], Literal["light", "dark"], int], ...] = (
        ("control-page", _DESKTOP, "light", 1150),
        ("control-page-dark", _DESKTOP, "dark", 1150),
        ("control-page-phone", _PHONE, "light", 1400),
    )
    for name, size, theme, height in pictures:
        page = _open(browser, url, size, theme)
        epochs = page.get_by_text(re.compile(r"epoch \d+ of 300"))
        both = page.locator("#round").filter(has=epochs.nth(1))
        expect(both).to_be_visible(timeout=_WAIT_MILLISECONDS)
        _take(page, name, height)
        page.close()


def _open(
    browser: Browser, url: str, size: tuple[int, int], theme: Literal["light", "dark"]
) -> Page:
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
    page.goto(url)
    return page


def _take(page: Page, name: str, height: int) -> None:
    """Keep the upper ``height`` pixels: the log far below tells a reader nothing."""
    whole = int(page.evaluate("document.documentElement.scrollHeight"))
    size = page.viewport_size
    assert size is not None
    page.screenshot(
        path=_IMAGES / f"{name}.png",
        full_page=True,
        clip={"x": 0, "y": 0, "width": size["width"], "height": min(height, whole)},
    )


if __name__ == "__main__":
    main()
