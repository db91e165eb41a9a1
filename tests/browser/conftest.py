"""Chromium, one federation for all tests, and pages that tell of anything they should not do."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.browser.control import ControlPage
from tests.browser.federation import DEVICES, Federation, chromium, find_chromium
from tests.lacking import skip_or_fail
from tests.server import ROOT

_WAIT_MILLISECONDS = 60_000
#: What Chromium writes when a server says why it does not take something, as the page then does.
_REFUSED = "the server responded with a status of 422"

#: A task whose backbone file is missing, and one without pictures whose updates make versions
#: by themselves.
MORE_TASKS = """
[tasks.faces]
classes = ["anna", "bert"]
backbone = "file:faces.safetensors"

[tasks.shades]
classes = ["dark", "light"]
architecture = "catdog_cnn"
image_size = 32
auto_aggregate = true
training = { epochs = 2, batch_size = 8, learning_rate = 0.001 }
"""


@pytest.fixture(scope="session", autouse=True)
def browser() -> Iterator[Browser]:
    """Chromium. Without it the tests are skipped, before servers start, but in CI they fail."""
    path = find_chromium()
    if path is None:
        skip_or_fail("no Chromium on the PATH; name one by CHROMIUM")
    expect.set_options(timeout=_WAIT_MILLISECONDS)
    with chromium(path) as started:
        yield started


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Three real servers with the built-in digits, as the project's tasks.toml has them."""
    directory = tmp_path_factory.mktemp("federation")
    tasks = (ROOT / "main_server" / "tasks.toml").read_text() + MORE_TASKS
    started = Federation(directory, tasks, heartbeat_seconds=1)
    for device in DEVICES:
        for name in ("anna", "bert"):
            folder = started.dataset(device, "faces") / "train" / name
            folder.mkdir(parents=True)
            assert cv2.imwrite(str(folder / "1.png"), np.full((40, 40, 3), 99, np.uint8))
    try:
        started.main.start()
        started.start_devices()
        yield started
    finally:
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty tab."""
    with _watched_page(browser, scripts=True) as opened:
        yield opened


@pytest.fixture
def page_without_scripts(browser: Browser) -> Iterator[Page]:
    """An empty tab of a browser that runs no script."""
    with _watched_page(browser, scripts=False) as opened:
        yield opened


@pytest.fixture
def control(page: Page, federation: Federation) -> ControlPage:
    """The control page, of task digits."""
    return ControlPage(page, federation.main.url)


@pytest.fixture
def control_without_scripts(page_without_scripts: Page, federation: Federation) -> ControlPage:
    """The control page in a browser that runs no script."""
    return ControlPage(page_without_scripts, federation.main.url)


@contextmanager
def _watched_page(browser: Browser, scripts: bool) -> Iterator[Page]:
    """A tab; at its end nothing may stand in its console, and no other server have been asked."""
    context = browser.new_context(java_script_enabled=scripts)
    context.set_default_timeout(_WAIT_MILLISECONDS)
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type in {"error", "warning"} and _REFUSED not in message.text
            else None
        ),
    )
    context.on(
        "request",
        lambda request: complaints.append(f"asked {request.url}") if _is_foreign(request) else None,
    )
    yield context.new_page()
    context.close()
    assert not complaints


def _is_foreign(request: Request) -> bool:
    """Whether a page fetched something from another origin, or a link led to the internet."""
    asked = urlsplit(request.url)
    if request.is_navigation_request():
        return asked.hostname != "127.0.0.1"
    return (
        asked.scheme not in {"data", "blob"} and asked.netloc != urlsplit(request.frame.url).netloc
    )
