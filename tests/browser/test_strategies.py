"""By clicks: another strategy is chosen, and the page tells which strategy made which version."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_layout import assert_everybody_can_use
from tests.federation import Federation

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def shades(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Servers of their own: what is chosen would disturb other tests."""
    federation = Federation(tmp_path_factory.mktemp("shades"))
    federation.write_pictures()
    try:
        federation.start()
        yield federation
    finally:
        federation.close()


def test_a_strategy_is_chosen_between_rounds(shades: Federation, page: Page) -> None:
    shades.main.do("/run_rounds?task=shades")
    page.goto(shades.main.url)
    page.get_by_role("link", name="Strategies", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Strategies of shades")
    page.locator("#fedprox-parameters summary").click()
    page.get_by_label("mu of FedProx").fill("0.5")
    page.get_by_role("button", name="Use FedProx from the next round").click()
    expect(page.locator(".alert-success")).to_have_text("FedProx, mu 0.5: in use.")
    expect(page.locator("#goes-by")).to_have_text("In use: FedProx, mu 0.5.")
    expect(page.locator("#fedprox")).to_contain_text("in use")
    expect(page.get_by_label("mu of FedProx")).to_have_value("0.5")
    (told,) = shades.main.do("/run_rounds?task=shades")["rounds"]
    assert (told["version"], told["errors"]) == (2, {})
    page.get_by_role("link", name="Rounds and devices").first.click()
    rows = page.get_by_role("table", name="Rounds of shades, newest first")
    expect(rows.locator("#round-1")).to_contain_text("FedAvg")
    expect(rows.locator("#round-2")).to_contain_text("FedProx, mu 0.5")
    expect(page.get_by_role("region", name="Task shades")).to_contain_text("FedProx")


def test_what_another_person_chooses_is_seen_at_once(shades: Federation, page: Page) -> None:
    page.goto(f"{shades.main.url}/strategies?task=shades")
    page.locator("#q_ffl-parameters summary").click()
    page.get_by_label("q of q-FFL").fill("3")
    shades.main.do("/strategy?task=shades", {"strategy": "fednova"})
    expect(page.locator("#goes-by")).to_have_text("In use: FedNova.")
    expect(page.locator("#fednova")).to_contain_text("in use")
    expect(page.get_by_label("q of q-FFL")).to_have_value("3")


def test_what_is_wrong_stands_beside_the_field_and_has_the_focus(
    shades: Federation, page: Page
) -> None:
    page.goto(f"{shades.main.url}/strategies?task=shades")
    page.locator("#scaffold-parameters summary").click()
    rate = page.get_by_label("server_learning_rate of SCAFFOLD")
    rate.fill("0")  # the browser knows no bound that is itself left out
    page.get_by_role("button", name="Use SCAFFOLD from the next round").click()
    expect(page.get_by_role("alert").first).to_contain_text("The strategy was not changed.")
    expect(rate).to_be_focused()
    expect(rate).to_have_value("0")
    expect(rate).to_have_accessible_description(
        "η: how far the mean change moves the global model. Default 1; above 0, at most 10. "
        "Input should be greater than 0."
    )
    assert_everybody_can_use(page)
    rate.fill("0.5")
    page.keyboard.press("Enter")
    expect(page.locator("#goes-by")).to_have_text("In use: SCAFFOLD, server_learning_rate 0.5.")


def test_it_works_without_scripts(shades: Federation, page_without_scripts: Page) -> None:
    page = page_without_scripts
    page.goto(f"{shades.main.url}/strategies?task=shades")
    page.get_by_role("button", name="Use FedAvg from the next round").click()
    expect(page.locator("#goes-by")).to_have_text("In use: FedAvg.")
    expect(page.locator("#fedavg").get_by_role("button")).to_have_count(0)
