"""By clicks: two rounds side by side, weights, and back to an older version on real devices."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.federation import Federation

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def shades(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Servers of their own, after two rounds: what is promoted would disturb other tests."""
    federation = Federation(tmp_path_factory.mktemp("shades"))
    federation.write_pictures()
    try:
        federation.start()
        federation.main.do("/run_rounds?task=shades", {"rounds": 2})
        yield federation
    finally:
        federation.close()


def test_two_rounds_are_chosen_and_compared(shades: Federation, page: Page) -> None:
    page.goto(shades.main.url)
    page.get_by_role("link", name="Compare rounds").click()
    page.get_by_label("Compare round", exact=True).fill("2")
    page.get_by_label("with round", exact=True).fill("1")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Round 2 and round 1 of shades")
    expect(page.get_by_role("table", name="Recall of each class")).to_contain_text("dark")
    matrix = page.get_by_role("table", name="What was taken for what in round 1")
    counts = [int(text) for text in matrix.get_by_role("cell").all_inner_texts()]
    assert sum(counts) == 14  # the test pictures of both devices, as they told them


def test_an_older_version_is_promoted_and_devices_measure_it(
    shades: Federation, page: Page
) -> None:
    before = shades.versions()
    page.goto(shades.main.url)
    page.get_by_role("link", name="Weights", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Weights of version 2 of shades")
    page.get_by_label("From version", exact=True).fill("0")
    page.get_by_label("to version", exact=True).fill("1")
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("The bars as a table").click()
    expect(page.get_by_role("table", name="How many weights lie in each bar")).to_be_visible()
    page.get_by_role("button", name="Promote version 1: the next round starts from it").click()
    expect(page).to_have_url(re.compile(r"/\?task=shades$"))
    for device in shades.devices:
        assert shades.caught_up(device, version=3)["version"] == 3
    page.get_by_role("link", name="Weights", exact=True).click()
    expect(page.get_by_text("Federated accuracy of version 3")).to_be_visible()
    again = [shades.main.get(f"/models/{version}/statistics")["all"] for version in (1, 3)]
    assert again[0] == again[1]
    assert before.items() <= shades.versions().items()
    (told,) = shades.main.do("/run_rounds?task=shades")["rounds"]
    assert (told["version"], told["errors"]) == (4, {})
    assert shades.rounds()[-1]["base_version"] == 3
