"""For every page: a narrow screen, a strict Content-Security-Policy, and access for everybody."""

from itertools import pairwise

import pytest
from playwright.sync_api import Page

from tests.browser.federation import Federation

pytestmark = pytest.mark.browser

PAGES = ("main_server/?task=digits", "main_server/?task=faces", "device1/")

#: Texts whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3).
_FAINT_TEXTS = """() => {
  const parse = text => {
    const numbers = text.match(/[\\d.]+/g).map(Number);
    return {rgb: numbers.slice(0, 3), alpha: numbers.length > 3 ? numbers[3] : 1};
  };
  const over = (front, back) => front.rgb.map((value, i) =>
    value * front.alpha + back[i] * (1 - front.alpha));
  const background = element => {
    const colour = parse(getComputedStyle(element).backgroundColor);
    if (colour.alpha === 1 || !element.parentElement)
      return colour.alpha ? over(colour, [255, 255, 255]) : [255, 255, 255];
    return over(colour, background(element.parentElement));
  };
  const luminance = rgb => {
    const [red, green, blue] = rgb.map(value => value / 255).map(value =>
      value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const faint = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || !element.checkVisibility() || element.closest(":disabled")) continue;
    const behind = background(element);
    const front = over(parse(getComputedStyle(element).color), behind);
    const [light, dark] = [luminance(front), luminance(behind)].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.49) faint.push(`${contrast.toFixed(2)}: ${text}`);
  }
  return faint;
}"""

_INLINE = "script:not([src]), style, [style], [onclick], [onload], [onsubmit], [onerror]"


@pytest.fixture(params=PAGES)
def opened(request: pytest.FixtureRequest, page: Page, federation: Federation) -> Page:
    """Each page of the servers, opened."""
    server, _, path = str(request.param).partition("/")
    servers = {"main_server": federation.main, **federation.devices}
    answer = page.goto(f"{servers[server].url}/{path}")
    assert answer is not None
    assert answer.ok
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    return page


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
    assert opened.evaluate("[...document.querySelectorAll('input')].every(i => i.labels.length)")
    assert all(name.strip() for name in opened.get_by_role("button").all_inner_texts())
    assert opened.evaluate(_FAINT_TEXTS) == []


def test_tables_say_what_they_hold(opened: Page) -> None:
    for table in opened.get_by_role("table").all():
        assert table.locator("caption").count() == 1
        assert table.locator("thead th:not([scope])").count() == 0
