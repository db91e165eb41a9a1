"""Pages that stay as they would be rendered now: many windows, no events, the keyboard's place."""

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.control import SEND, TRAIN, ControlPage
from tests.browser.federation import Federation

pytestmark = pytest.mark.browser

#: A browser keeps at most six connections to a server.
_WINDOWS = 9


def test_many_windows_of_one_browser_all_work(page: Page, federation: Federation) -> None:
    context: BrowserContext = page.context
    windows = [page, *(context.new_page() for _ in range(_WINDOWS - 1))]
    for window in windows:
        window.goto(f"{federation.main.url}/?task=digits")
    first, last = ControlPage(page, federation.main.url), windows[-1]
    while first.blue() != TRAIN:
        first.do(first.blue())
    first.do(TRAIN)
    expect(last.get_by_role("button", name=SEND, exact=True)).to_be_enabled()


def test_without_events_the_page_asks(page: Page, federation: Federation) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=204)  # as when no stream is to be had: the browser gives up

    page.route("**/events?*", refuse)
    control = ControlPage(page, federation.main.url)
    enrolled = control.section("Devices").get_by_text("online")
    expect(enrolled.first).to_be_visible()
    while control.blue() != TRAIN:
        federation.main.post("/run_rounds?task=digits", {"rounds": 1, "finish": True})
        page.reload()
    federation.main.post("/modeltrain?task=digits")
    expect(control.button(SEND)).to_be_enabled()
    assert control.blue() == SEND


def test_the_keyboard_goes_on_with_the_next_step(page: Page, federation: Federation) -> None:
    control = ControlPage(page, federation.main.url)
    while control.blue() != TRAIN:
        control.do(control.blue())
    control.button(TRAIN).focus()
    page.keyboard.press("Enter")
    expect(control.button(SEND)).to_be_focused()
