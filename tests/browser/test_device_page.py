"""The device's page: its state, its three steps, its last training."""

import pytest
from playwright.sync_api import Locator, Page, expect

from main_server.settings import read_tasks
from tests.browser.device import DevicePage
from tests.browser.federation import Federation
from tests.server import ROOT

pytestmark = pytest.mark.browser

EPOCHS = read_tasks(ROOT / "main_server" / "tasks.toml")["digits"].training.epochs
TRAIN = "Model Training (Locally)"
SEND = "Send Model to Federated Server"
LONG = {"epochs": 1000, "batch_size": 1}


@pytest.fixture
def digits(page: Page, federation: Federation) -> DevicePage:
    """The page of device1, at task digits."""
    return DevicePage(page, federation.devices["device1"].url, "digits")


def press(digits: DevicePage, name: str, told: str = "done") -> Locator:
    """Click a step's button, wait until its work is over, and give what is told of training."""
    training = digits.section("Training")
    training.get_by_role("button", name=name, exact=True).click()
    expect(training).to_contain_text(f"{name}: {told}", timeout=60_000)
    return training


def test_its_state(digits: DevicePage, federation: Federation) -> None:
    page = digits.page
    expect(page.get_by_role("heading", level=1)).to_have_text("device1")
    summary = page.locator("#summary")
    expect(summary).to_contain_text("631 to train on, 90 to validate, 181 to test")
    expect(summary).to_contain_text("own test pictures")
    expect(page.locator("#health")).to_contain_text("answers")
    expect(page.locator("#health")).to_contain_text("is ready")
    expect(page.get_by_text("each up to 20 MiB and 50 million pixels")).to_be_visible()

    balance = digits.section("Pictures by class").get_by_role("row")
    expect(balance).to_have_count(11)
    assert balance.nth(1).inner_text().split()[0] == "0"
    cells = digits.section("What it mixes up").locator("td[class*=shade-]")
    counted = sum(int(cell) for cell in cells.all_inner_texts() if cell != "·")
    assert counted == 181

    tabs = page.get_by_role("navigation", name="Tasks").get_by_role("link")
    expect(tabs.filter(has_text="digits")).to_have_attribute("aria-current", "page")
    tabs.filter(has_text="faces").click()
    expect(page.get_by_role("heading", level=2, name="faces")).to_be_visible()
    expect(page.locator("#summary")).to_contain_text("faces.safetensors")
    page.get_by_role("link", name=federation.main.url).click()
    expect(page).to_have_title("Fedbell: digits")


def test_its_steps_and_its_last_training(digits: DevicePage) -> None:
    press(digits, "Install the newest global model")
    training = press(digits, TRAIN)
    expect(digits.page.locator("#summary")).to_contain_text("not sent yet")
    expect(training.locator(".btn-primary")).to_have_text(SEND)
    expect(training.locator("figure polyline")).to_have_count(4)

    training.get_by_text("Its numbers, epoch by epoch").click()
    table = training.get_by_role("table")
    expect(table.get_by_role("columnheader")).to_contain_text(
        ["Epoch", "Loss", "Accuracy", "Validation loss", "Validation accuracy"]
    )
    expect(table.locator("tbody tr")).to_have_count(EPOCHS)
    link = training.get_by_role("link", name="The curves as a figure").get_attribute("href")
    answer = digits.page.request.get(f"{digits.url}{link}")
    assert answer.headers["content-type"].startswith("image/svg+xml")

    press(digits, SEND)
    expect(digits.page.locator("#summary")).not_to_contain_text("not sent yet")
    expect(training.locator(".btn-primary")).to_have_text(TRAIN)


def test_a_training_goes_on_over_a_reload_and_can_be_stopped(digits: DevicePage) -> None:
    page, training = digits.page, digits.section("Training")
    page.request.post(
        f"{digits.url}/modeltrain?task=digits", data=LONG, headers={"Prefer": "respond-async"}
    )
    expect(training).to_contain_text("epoch ")
    expect(training.get_by_role("progressbar", name="Epochs")).to_be_visible()
    expect(training.get_by_role("button", name=TRAIN)).to_be_disabled()
    page.reload()
    expect(training).to_contain_text("epoch ")
    expect(training).to_contain_text("to go")
    bar = training.get_by_role("progressbar", name="Epochs")
    before = float(bar.get_attribute("value") or 0)
    page.wait_for_function(
        "before => document.querySelector('#training progress').value > before", arg=before
    )
    expect(training.get_by_role("heading", name="This training")).to_be_visible()
    training.get_by_role("button", name="Stop it").focus()
    page.keyboard.press("Enter")
    expect(training).to_contain_text(f"{TRAIN}: stopped as you asked")
    expect(training.get_by_role("button", name=TRAIN)).to_be_focused()


def test_its_steps_without_scripts(page_without_scripts: Page, federation: Federation) -> None:
    page = page_without_scripts
    url = federation.devices["device1"].url
    digits = DevicePage(page, url, "digits")
    page.request.post(
        f"{url}/modeltrain?task=digits", data=LONG, headers={"Prefer": "respond-async"}
    )
    page.reload()
    training = digits.section("Training")
    expect(training).to_contain_text("epoch ")  # the page is loaded again by itself
    training.get_by_role("button", name="Stop it").click()
    expect(training).to_contain_text(f"{TRAIN}: stopped as you asked")
    press(digits, TRAIN)
    switch = page.get_by_role("button", name="Train on upload")
    for state in ("true", "false"):
        switch.click()
        expect(switch).to_have_attribute("aria-pressed", state)
