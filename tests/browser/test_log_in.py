"""Logging in and out in a browser, and the page about who may do what."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.access.conftest import ADMIN, VIEWER
from tests.browser.test_layout import assert_everybody_can_use
from tests.server import Server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A main server where people log in, with a device that has joined."""
    told = {"ADMIN_TOKEN": ADMIN, "VIEWER_TOKEN": VIEWER, "HEARTBEAT_SECONDS": "0.2"}
    server = Server("main_server.wsgi:app", tmp_path_factory.mktemp("guarded"), told)
    server.start()
    device = {"device": "door", "url": "http://127.0.0.1:9", "tasks": {}}
    joined = server.post("/clientstatus", device, headers={"Authorization": f"Bearer {'x' * 40}"})
    assert joined.is_success
    yield server
    server.stop()
    server.http.close()


def log_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()


def test_a_viewer_and_an_operator(page: Page, guarded: Server) -> None:
    page.goto(f"{guarded.url}/access")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    assert_everybody_can_use(page)
    log_in(page, VIEWER)
    expect(page.get_by_role("heading", level=1)).to_have_text("Access")
    expect(page.get_by_text("viewer", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    log_in(page, ADMIN)
    page.get_by_role("link", name="Access").click()
    expect(page.get_by_role("row", name="door")).to_contain_text("valid")
    assert_everybody_can_use(page)
    page.set_viewport_size({"width": 320, "height": 900})
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(wide)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


def test_a_device_is_revoked_without_scripts(page_without_scripts: Page, guarded: Server) -> None:
    page = page_without_scripts
    page.goto(f"{guarded.url}/access")
    log_in(page, ADMIN)
    row = page.get_by_role("row", name="door")
    for action, told in (("Rotate", "to be changed"), ("Revoke", "revoked")):
        row.get_by_text(f"{action} door…").click()
        row.get_by_role("button", name=f"{action} door").click()
        expect(row).to_contain_text(told)
    row.get_by_text("Forget door…").click()
    row.get_by_role("button", name="Forget door").click()
    expect(page.get_by_text("No device has joined yet.")).to_be_visible()
    expect(page.get_by_role("log")).to_contain_text("by operator from 127.0.0.1")
