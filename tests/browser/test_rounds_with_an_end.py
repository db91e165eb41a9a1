"""What the control page tells of a round with a deadline, of whom it asks, and of who rests."""

import threading
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from tests.browser.test_layout import assert_everybody_can_use
from tests.main_server.answering_device import AnsweringDevice
from tests.main_server.conftest import initial_weights
from tests.main_server.deadlines import open_server

pytestmark = [
    pytest.mark.browser,
    # Served from this process, compressed static files are closed by the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

_ROUNDS = """
deadline_seconds = 3600
number = 2
late_updates = "merge"
rest_after = 1
rest_rounds = 9
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """Of four devices one is rested and two are asked; the update of the other came late."""
    client = open_server(tmp_path_factory.mktemp("state"), _ROUNDS, 2, heartbeat_seconds=600)
    devices = [AnsweringDevice(client, "device1")]
    devices[0].failing["modeltrain"] = ("broken", "The lens is broken.")
    devices += [AnsweringDevice(client, f"device{number}") for number in (2, 3, 4)]
    while not client.get("/devices").json["devices"][0]["tasks"]["digits"]["rests_until"]:
        for step in ("modeltrain", "modeltrain?device=device2", "modeltrain?device=device3"):
            client.post(f"/{step}")
        for step in ("sendmodel", "aggregate_models", "send_model_clients"):
            client.post(f"/{step}")
    assert client.post("/modeltrain").status_code == 200
    row = client.get("/rounds").json["rounds"][0]
    (late,) = (each for each in devices[1:] if each.name not in row["selected"])
    update = {name: array + 3 for name, array in initial_weights().items()}
    assert late.send(late.update(update, base_version=row["base_version"] - 1)).status_code == 200
    yield client
    for each in devices:
        each.close()


@pytest.fixture(scope="module")
def url(client: FlaskClient) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, client.application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/?task=digits"
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_counts_down(page: Page, url: str) -> None:
    page.goto(url)
    head = page.locator("#round .card-header")
    expect(head).to_contain_text("needs 2 of 2 updates, 1 is here, ends in 59 min")
    left = head.locator("[data-left]")
    before = left.inner_text()
    expect(left).not_to_have_text(before)
    expect(head).to_contain_text("UTC)")


def test_it_is_told_without_scripts_too(page_without_scripts: Page, url: str) -> None:
    page_without_scripts.goto(url)
    expect(page_without_scripts.locator("#round")).to_contain_text("ends in 59 min")


def test_everybody_can_use_it(page: Page, url: str) -> None:
    page.goto(url)
    assert_everybody_can_use(page)
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_who_rests_is_woken(page: Page, url: str) -> None:
    page.goto(url)
    step = page.locator("#step-sendmodel")
    expect(step).to_contain_text("counted with weight 0.71")
    row = page.locator("#step-modeltrain .device-row").filter(has_text="device1")
    expect(row).to_contain_text("after 1 failure")
    row.get_by_role("button", name="Wake device1").click()
    expect(page.get_by_role("button", name="Wake device1")).to_have_count(0)
    expect(page.locator("#not-asked")).to_contain_text("device1")
