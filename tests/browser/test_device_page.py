"""The device's page: its state, its three steps, its last training."""

import pytest
from playwright.sync_api import Locator, Page, expect

from main_server.settings import read_tasks
from tests.browser.federation import Federation
from tests.server import ROOT

pytestmark = pytest.mark.browser

EPOCHS = read_tasks(ROOT / "main_server" / "tasks.toml")["digits"].training.epochs


@pytest.fixture
def digits(page: Page, federation: Federation) -> Locator:
    """What the page of device1 says of task digits."""
    page.goto(federation.devices["device1"].url)
    return page.get_by_role("region", name="digits")


def press(digits: Locator, name: str) -> None:
    """Click a button of the page and wait until its work is over."""
    button = digits.get_by_role("button", name=name, exact=True)
    with digits.page.expect_navigation():
        button.click()
    expect(button).to_be_enabled(timeout=60_000)


def test_its_state(digits: Locator, page: Page, federation: Federation) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("device1")
    expect(digits).to_contain_text("631 to train on, 90 to validate, 181 to test")
    expect(digits).to_contain_text("own test pictures")
    page.get_by_role("link", name=federation.main.url).click()
    expect(page).to_have_title("Fedbell: digits")


def test_its_steps_and_its_last_training(digits: Locator, page: Page) -> None:
    press(digits, "Install the newest global model")
    press(digits, "Model Training (Locally)")
    expect(digits).to_contain_text("not sent yet")
    expect(digits.locator(".btn-primary")).to_have_text("Send Model to Federated Server")

    table = digits.get_by_role("table")
    expect(table.get_by_role("columnheader")).to_contain_text(
        ["Epoch", "Loss", "Accuracy", "Validation loss", "Validation accuracy"]
    )
    expect(table.locator("tbody tr")).to_have_count(EPOCHS)
    picture = digits.get_by_role("img")
    wide = "image => image.complete && image.naturalWidth > 100"
    assert page.wait_for_function(wide, arg=picture.element_handle())
    answer = page.request.get(f"{page.url.partition('?')[0]}plots/training.svg?task=digits")
    assert answer.headers["content-type"].startswith("image/svg+xml")

    press(digits, "Send Model to Federated Server")
    expect(digits).not_to_contain_text("not sent yet")
    expect(digits.locator(".btn-primary")).to_have_text("Model Training (Locally)")


def test_a_training_can_be_stopped(digits: Locator, page: Page, federation: Federation) -> None:
    device = federation.devices["device1"]
    long = {"epochs": 1000, "batch_size": 1}
    started = device.post("/modeltrain?task=digits", long, headers={"Prefer": "respond-async"})
    assert started.status_code == 202
    page.reload()
    expect(digits.get_by_role("status")).to_contain_text("Model Training (Locally): running")
    expect(digits.get_by_role("status")).to_contain_text("epoch ")
    with page.expect_navigation():
        digits.get_by_role("button", name="Stop it").click()
    expect(digits).to_contain_text("Model Training (Locally): stopped as you asked")
