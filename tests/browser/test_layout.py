"""For every page: a narrow screen, a strict Content-Security-Policy, and access for everybody."""

from itertools import pairwise
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.federation import Federation

pytestmark = pytest.mark.browser

#: Server, path. Of the main server after a round, of devices with and without pictures.
PAGES = (
    "main_server/?task=digits",
    "main_server/?task=digits&curves=1",
    "main_server/?task=faces",
    "main_server/?task=cats_dogs",
    "main_server/weights?task=digits",
    "main_server/compare?task=digits&left=1&right=2",
    "main_server/strategies?task=digits",
    "main_server/access",
    "main_server/docs",
    "device1/?task=digits",
    "device1/?task=faces",
    "device1/?task=cats_dogs",
    "device1/docs",
)

_INLINE = "script:not([src]), style, [style], [onclick], [onload], [onsubmit], [onerror]"


@pytest.fixture(scope="module")
def after_two_rounds(federation: Federation) -> Federation:
    """The servers after two rounds, so that pages have something to show."""
    federation.main.post("/run_rounds?task=digits", {"rounds": 2})
    return federation


@pytest.fixture(params=PAGES)
def opened(request: pytest.FixtureRequest, page: Page, after_two_rounds: Federation) -> Page:
    """Each page of the servers, opened."""
    server, _, path = str(request.param).partition("/")
    servers = {"main_server": after_two_rounds.main, **after_two_rounds.devices}
    answer = page.goto(f"{servers[server].url}/{path}")
    assert answer is not None
    assert answer.ok
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    return page


def test_axe_finds_nothing(opened: Page) -> None:
    assert_everybody_can_use(opened)


def test_axe_finds_nothing_in_a_problem(browser: Browser, federation: Federation) -> None:
    context = browser.new_context()  # not watched: the browser's console tells of the 404
    page = context.new_page()
    page.goto(f"{federation.main.url}/jobs/none")
    assert_everybody_can_use(page)
    context.close()


def assert_everybody_can_use(page: Page) -> None:
    """Nothing is wrong with a page by WCAG 2.2 AA and the rest of what axe-core knows."""
    themes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for theme in themes:
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        expect(page.locator("html")).to_have_attribute("data-bs-theme", theme)
        for details in page.locator("main details").all():
            details.evaluate("details => details.open = true")
        found = Axe().run(page)
        assert not found.response["violations"], found.generate_report()


def test_nothing_is_inline(opened: Page) -> None:
    assert opened.locator(_INLINE).count() == 0


def test_a_narrow_screen_scrolls_only_down(opened: Page) -> None:
    opened.set_viewport_size({"width": 320, "height": 640})
    assert opened.evaluate("document.documentElement.scrollWidth") <= 320


def test_everybody_can_read_it(opened: Page) -> None:
    assert opened.locator("html").get_attribute("lang") == "en"
    assert opened.get_by_role("main").count() == 1
    levels = opened.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(heading => +heading.tagName[1])"
    )
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(now - before <= 1 for before, now in pairwise(levels))
    assert opened.locator("img:not([alt])").count() == 0
    assert opened.evaluate(
        "[...document.querySelectorAll('input:not([type=hidden])')].every(i => i.labels.length)"
    )
    assert all(name.strip() for name in opened.locator("button:visible").all_inner_texts())


def test_tables_say_what_they_hold(opened: Page) -> None:
    for table in opened.get_by_role("table").all():
        assert table.locator("caption").count() == 1
        assert table.locator("thead th:not([scope])").count() == 0
