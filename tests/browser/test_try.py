"""Trying the model on a device's page, and what becomes of a wrong answer."""

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.device import DevicePage, picture
from tests.browser.federation import Federation
from tests.server import Server

pytestmark = pytest.mark.browser


@pytest.fixture
def device(federation: Federation) -> Server:
    return federation.devices["device2"]


@pytest.fixture
def digits(page: Page, device: Server) -> DevicePage:
    return DevicePage(page, device.url, "digits")


def names(device: Server, label: str) -> set[str]:
    told = device.get(f"/pictures?task=digits&label={label}")["pictures"]
    return {each["name"] for each in told}


def give(digits: DevicePage, file: FilePayload) -> None:
    digits.page.get_by_label("A picture, JPEG or PNG").set_input_files(file)


def test_tried_and_corrected(digits: DevicePage, device: Server) -> None:
    section = digits.section("Try the model")
    give(digits, picture("mine.png", seed=70))
    expect(section).to_contain_text("says version")
    expect(section.get_by_role("progressbar")).to_have_count(5)
    expect(section).to_contain_text("to decode the picture")
    assert not names(device, "7")

    section.get_by_label("Class of the tried picture", exact=True).select_option("7")
    section.get_by_role("button", name="Save the class").click()
    expect(section).to_contain_text("Kept as 7")
    expect(digits.page.get_by_label("A picture, JPEG or PNG")).to_be_focused()
    assert names(device, "7") == {"mine.png"}
    expect(digits.card("mine.png")).to_contain_text("7, to train on, new")


def test_dropped_pasted_and_refused(digits: DevicePage, device: Server) -> None:
    section = digits.section("Try the model")
    digits.drop("try-drop", picture("dropped.png", seed=71))
    expect(section).to_contain_text("says version")
    section.get_by_role("heading").click()  # now what is pasted is for here
    digits.paste({"name": "notes.png", "mimeType": "image/png", "buffer": b"GIF89a"})
    expect(section).to_contain_text("This is a GIF. Save it as JPEG or PNG")
    expect(section).not_to_contain_text("says version")
    digits.paste(picture("pasted.png", seed=72))
    expect(section).to_contain_text("says version")
    expect(digits.page.locator("#uploads-list li")).to_have_count(0)
    assert device.get("/pictures?task=digits")["unlabelled"] == 0


def test_a_training_does_not_hold_it_up(digits: DevicePage, device: Server) -> None:
    job = device.begin("/modeltrain?task=digits", {"epochs": 1000, "batch_size": 1})
    expect(digits.section("Training")).to_contain_text("epoch ")
    give(digits, picture("meanwhile.png", seed=73))
    expect(digits.section("Try the model")).to_contain_text("says version")
    assert device.get(job)["status"] == "running"
    device.do(f"{job}/cancel")
    assert device.ended(job)["status"] == "cancelled"


def test_without_scripts(page_without_scripts: Page, device: Server) -> None:
    page = page_without_scripts
    digits = DevicePage(page, device.url, "digits")
    give(digits, picture("plain.png", seed=74))
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What the model says")
    expect(page.get_by_role("main")).to_contain_text("says version")
    page.get_by_label("Class of the tried picture", exact=True).select_option("3")
    page.get_by_role("button", name="Save the class").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("device2")
    expect(digits.card("plain.png")).to_contain_text("3, to")
    assert names(device, "3") == {"plain.png"}
