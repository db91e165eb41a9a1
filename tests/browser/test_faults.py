"""What the pages say when something is wrong: what failed, on which device, what to do."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.control import AGGREGATE, TRAIN, ControlPage
from tests.browser.federation import Federation
from tests.server import wait_until

pytestmark = pytest.mark.browser


def test_a_step_that_somebody_else_took_back_is_refused_beside_the_steps(
    control: ControlPage, federation: Federation
) -> None:
    federation.main.post("/aggregate_models?task=digits")  # uses up what may be there
    federation.main.post("/modeltrain?task=digits")
    federation.main.post("/aggregate_models?task=digits")
    told = control.outcome()
    assert "Too few updates" in told
    assert "Missing: device1, device2" in told
    assert "Run modeltrain and sendmodel first" in told
    expect(control.step(AGGREGATE)).to_contain_text("failed")


def test_a_device_that_is_down_fails_alone_is_retried_alone_and_comes_back(
    control: ControlPage, federation: Federation
) -> None:
    page, device = control.page, federation.devices["device2"]
    page.evaluate("window.sameAsBefore = true")
    while control.blue() != TRAIN:
        control.do(control.blue())
    device.kill()
    told = control.do(TRAIN)
    assert "done, but not on every device" in told
    row = control.row(TRAIN, "device2")
    expect(row).to_contain_text(f"device2 cannot be reached at {device.url}")
    expect(row).to_contain_text("Start it")
    expect(control.row(TRAIN, "device1")).to_contain_text("done")
    card = control.device("device2")
    expect(card).to_contain_text("lost")
    expect(card).to_contain_text("Last error")
    expect(control.device("device1")).to_contain_text("online")
    expect(page.get_by_text("1 of 2 online")).to_be_visible()

    device.start()
    expect(card).to_contain_text("online")
    wait_until(lambda: device.task("digits"))
    before = len(federation.main.http.get("/jobs").json()["jobs"])
    control.press("Retry on device2 alone in Train")
    assert f"{TRAIN}: done" in control.outcome()
    expect(row).to_contain_text("(attempt 2)")
    expect(row).to_contain_text("done")
    expect(control.row(TRAIN, "device1")).not_to_contain_text("attempt")
    assert len(federation.main.http.get("/jobs").json()["jobs"]) == before + 1
    assert page.evaluate("window.sameAsBefore"), "the page was loaded anew"


def test_a_lost_device_is_forgotten_and_comes_back(
    control: ControlPage, federation: Federation
) -> None:
    device = federation.devices["device2"]
    device.kill()
    card = control.device("device2")
    expect(card).to_contain_text("Start it again")
    control.run(1)
    told = control.outcome()
    assert "not on every device" in told
    assert told.count("device2 cannot be reached") == 1

    control.page.on("dialog", lambda dialog: dialog.accept())
    control.button("Forget device2").click()
    expect(card).to_have_count(0)
    expect(control.page).to_have_url(control.url)

    device.start()
    wait_until(lambda: device.task("digits"))
    expect(card).to_contain_text("online")


def test_a_missing_backbone_file(page: Page, federation: Federation) -> None:
    control = ControlPage(page, federation.main.url, "faces")
    for device in federation.devices:
        card = control.device(device)
        expect(card).to_contain_text("faces.safetensors")
        expect(card).to_contain_text(f"Put the file into {federation.directory / 'backbones'}")
    expect(page.get_by_text("No device is ready")).to_be_visible()
    expect(control.button(TRAIN)).to_be_disabled()
    expect(control.button(TRAIN)).to_have_accessible_description(
        "No device is ready: what each of them says tells why."
    )

    page.goto(f"{federation.devices['device1'].url}/?task=faces")
    expect(page.get_by_role("alert").filter(has_text="faces.safetensors").first).to_be_visible()


def test_an_unreadable_picture_is_told_and_named_on_the_device(
    control: ControlPage, federation: Federation
) -> None:
    broken: Path = federation.dataset("device1", "digits") / "train" / "3" / "broken.png"
    broken.write_bytes(b"no picture")
    try:
        while control.blue() != TRAIN:
            control.do(control.blue())
        control.do(TRAIN)
        expect(control.row(TRAIN, "device1")).to_contain_text("1 picture could not be read")
        control.device("device1").get_by_role("link", name="device1").click()
        alert = control.page.get_by_role("alert").filter(has_text="1 skipped")
        expect(alert).to_contain_text("3/broken.png")
        expect(alert).to_contain_text("replace or remove")
    finally:
        broken.unlink()
