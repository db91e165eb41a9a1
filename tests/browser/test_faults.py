"""What the pages say when something is wrong: what failed, on which device, what to do."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.control import AGGREGATE, TRAIN, ControlPage
from tests.browser.federation import Federation
from tests.server import wait_until

pytestmark = pytest.mark.browser


def badge(control: ControlPage, device: str) -> str:
    control.page.get_by_role("link", name="Look again").click()
    return control.device(device).locator(".badge").inner_text()


def test_aggregating_before_anything_was_sent(control: ControlPage, federation: Federation) -> None:
    federation.main.post("/aggregate_models?task=digits")  # uses up what may be there
    told = control.do(AGGREGATE)
    assert "Too few updates" in told
    assert "Missing: device1, device2" in told
    assert "Run modeltrain and sendmodel first" in told
    assert control.page.get_by_role("alert").count() == 1


def test_a_device_that_is_down_is_forgotten_and_comes_back(
    control: ControlPage, federation: Federation
) -> None:
    device = federation.devices["device2"]
    device.kill()
    told = control.do(TRAIN)
    assert "done, but not on every device" in told
    assert f"device2 cannot be reached at {device.url}" in told
    assert "Start it" in told
    assert "device1: 6" in told

    control.run(2)
    told = control.outcome()
    assert told.count("not on every device") == 3
    assert told.count("device2 cannot be reached") == 1

    wait_until(lambda: badge(control, "device2") == "lost")
    assert badge(control, "device1") == "online"
    expect(control.device("device2")).to_contain_text("Start it again")

    control.press("Forget device2")
    expect(control.device("device2")).to_have_count(0)
    expect(control.page).to_have_url(control.url)

    device.start()
    wait_until(lambda: device.task("digits"))
    control.page.reload()
    wait_until(lambda: badge(control, "device2") == "online")


def test_a_missing_backbone_file(page: Page, federation: Federation) -> None:
    control = ControlPage(page, federation.main.url, "faces")
    for device in federation.devices:
        row = control.device(device)
        # The page looks again by itself while there is no model.
        expect(row).to_contain_text("faces.safetensors", timeout=60_000)
        expect(row).to_contain_text(f"Put the file into {federation.directory / 'backbones'}")
    expect(page.get_by_text("No device is ready")).to_be_visible()
    assert "There is no global model yet" in control.do(TRAIN)

    page.goto(federation.devices["device1"].url)
    faces = page.get_by_role("region", name="faces")
    expect(faces.get_by_role("alert")).to_contain_text("faces.safetensors")


def test_an_unreadable_picture_is_named(control: ControlPage, federation: Federation) -> None:
    broken: Path = federation.dataset("device1", "digits") / "train" / "3" / "broken.png"
    broken.write_bytes(b"no picture")
    try:
        assert "3/broken.png" in control.do(TRAIN)
        control.page.get_by_role("link", name="device1").click()
        alert = control.page.get_by_role("alert").filter(has_text="1 skipped")
        expect(alert).to_contain_text("3/broken.png")
        expect(alert).to_contain_text("replace or remove")
    finally:
        broken.unlink()
