"""Rounds from the control page, in a real browser, with real servers."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.control import AGGREGATE, DISTRIBUTE, SEND, STEPS, TRAIN, ControlPage
from tests.browser.federation import Federation
from tests.server import Server

pytestmark = pytest.mark.browser


def jobs(federation: Federation, kind: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = federation.main.http.get("/jobs").json()["jobs"]
    return [job for job in listed if job["kind"] == kind]


def newest_version(federation: Federation) -> int:
    versions = federation.main.http.get("/models?task=digits").json()["versions"]
    return int(versions[0]["version"])


def a_round_by_its_steps(control: ControlPage) -> None:
    """Whatever is open, end it; then take the four steps and look at what each says."""
    while control.blue() != TRAIN:
        control.do(control.blue())
    before = control.newest_round()

    assert f"{TRAIN}: done" in control.do(TRAIN)
    for device in ("device1", "device2"):
        expect(control.row(TRAIN, device)).to_contain_text(re.compile(r"done\s*6\d\d pictures"))
        expect(control.row(TRAIN, device)).to_contain_text("alone")
    assert control.blue() == SEND
    expect(control.button(AGGREGATE)).to_be_disabled()
    expect(control.button(AGGREGATE)).to_have_accessible_description(
        "There is no update of this round yet: train and send first."
    )

    control.do(SEND)
    expect(control.row(SEND, "device1")).to_contain_text("kB of weights")
    assert control.blue() == AGGREGATE

    control.do(AGGREGATE)
    expect(control.row(AGGREGATE, "Main server")).to_contain_text("2 updates")
    assert control.blue() == DISTRIBUTE

    control.do(DISTRIBUTE)
    expect(control.row(DISTRIBUTE, "device2")).to_contain_text("test pictures")
    assert control.blue() == TRAIN
    expect(control.step(TRAIN)).to_contain_text(f"it begins round {before + 2}")

    rounds = control.rounds()
    accuracy, start = rounds[str(before + 1)], rounds["start"]
    assert accuracy is not None
    assert start is not None
    assert start < 30
    assert accuracy > 85
    heading = control.page.get_by_role("heading", level=1)
    expect(heading).to_contain_text(re.compile(rf"federated accuracy {accuracy}\s%"))


def test_a_round_by_clicks_on_one_page(control: ControlPage) -> None:
    control.page.evaluate("window.sameAsBefore = true")
    a_round_by_its_steps(control)
    assert control.page.evaluate("window.sameAsBefore"), "the page was loaded anew"


def test_a_round_without_scripts(control_without_scripts: ControlPage) -> None:
    a_round_by_its_steps(control_without_scripts)


def test_a_round_by_keyboard(control: ControlPage) -> None:
    keyboard, focused = control.page.keyboard, control.page.locator(":focus")
    while control.blue() != TRAIN:
        control.do(control.blue())
    for name in STEPS:
        expect(control.button(name)).to_be_enabled()
        for _ in range(60):
            if focused.count() and focused.inner_text() == name:
                break
            keyboard.press("Tab")
        expect(control.button(name)).to_be_focused()
        assert focused.evaluate("element => getComputedStyle(element).outlineStyle") != "none"
        with control.page.expect_response(lambda answer: answer.request.method == "POST"):
            keyboard.press("Enter")
        assert f"{name}: done" in control.outcome()
    assert control.blue() == TRAIN


def test_whole_rounds_and_what_remains_of_one(control: ControlPage) -> None:
    if control.blue() == TRAIN:
        control.do(TRAIN)
    before = control.newest_round()
    control.do("Finish this round")
    assert control.newest_round() == before
    control.run(2)
    told = control.outcome()
    assert "Whole rounds: done" in told
    assert all(f"Round {number}: version" in told for number in (before + 1, before + 2))
    rounds = control.rounds()
    assert (rounds[str(before + 2)] or 0) > (rounds["start"] or 0)


def test_stopping_after_the_step_while_another_tab_looks_on(
    control: ControlPage, federation: Federation
) -> None:
    other = ControlPage(control.page.context.new_page(), federation.main.url)
    before = control.newest_round()
    control.run(1000)
    for each in (control, other):
        expect(each.section("What happened")).to_contain_text("Whole rounds: running")
        expect(each.section("Whole rounds")).to_contain_text("of 1000")
        expect(each.button(TRAIN)).to_be_disabled()
        expect(each.button(TRAIN)).to_have_accessible_description(
            "The buttons wait until Whole rounds is done."
        )
    expect(other.section("Whole rounds")).to_contain_text(
        re.compile(r"round \d+ of 1000, about .* left")
    )

    control.press("Stop after this step")
    assert "stopped as you asked" in control.outcome()
    assert control.newest_round() < before + 1000
    assert jobs(federation, "run_rounds")[0]["status"] == "cancelled"
    assert "stopped as you asked" in other.outcome()

    for step in STEPS[STEPS.index(control.blue()) :]:  # the blue button goes on from there
        assert "done" in control.do(step)


def test_a_double_click_does_nothing_twice(control: ControlPage, federation: Federation) -> None:
    while control.blue() != TRAIN:
        control.do(control.blue())
    before = newest_version(federation)
    control.page.get_by_role("spinbutton", name="Rounds").fill("1")
    with control.page.expect_response(lambda answer: answer.request.method == "POST"):
        control.button("Run them all").dblclick()
    assert "Whole rounds: done" in control.outcome()
    control.page.reload()
    assert "Whole rounds: done" in control.outcome()
    assert newest_version(federation) == before + 1


def test_back_after_a_step_is_a_page_and_no_second_step(
    control_without_scripts: ControlPage, federation: Federation
) -> None:
    control = control_without_scripts
    control.page.goto(f"{federation.main.url}/")
    control.do(control.blue())
    before = len(federation.main.http.get("/jobs").json()["jobs"])
    control.page.go_back()
    expect(control.page).to_have_url(f"{federation.main.url}/")
    control.page.go_forward()
    assert len(federation.main.http.get("/jobs").json()["jobs"]) == before


def test_a_long_training_is_followed_and_goes_on_after_a_reload(
    control: ControlPage, federation: Federation
) -> None:
    device = federation.devices["device1"]
    job = device.begin("/modeltrain?task=digits", {"epochs": 1000, "batch_size": 1})
    try:
        row = control.row(TRAIN, "device1")
        bar = row.get_by_role("progressbar", name="Train, device1")
        for _ in range(2):
            expect(row).to_contain_text(re.compile(r"epoch \d+ of 1000, loss .*accuracy .*left"))
            seen = int(bar.get_attribute("value") or 0)
            expect(bar).not_to_have_attribute("value", str(seen))
            assert int(bar.get_attribute("value") or 0) > seen
            control.page.reload()
        expect(control.page.get_by_role("status").first).to_have_text(
            re.compile(r"device1: epoch \d+ of 1000")
        )
        expect(control.device("device1")).to_contain_text(re.compile(r"\d+ of 1000 epochs"))
    finally:
        device.post(f"{job}/cancel")
    expect(bar).to_have_count(0)


def test_the_log_can_be_paused_and_filtered(control: ControlPage) -> None:
    log, page = control.page.get_by_role("log"), control.page
    lines = log.locator("[id^=event-]")
    control.button("Pause").click()
    expect(control.button("Pause")).to_have_attribute("aria-pressed", "true")
    before = lines.last.get_attribute("id")
    control.do(TRAIN if control.button(TRAIN).is_enabled() else control.blue())
    assert lines.last.get_attribute("id") == before
    control.button("Pause").click()
    expect(lines.last).not_to_have_attribute("id", before or "")

    page.get_by_role("combobox", name="Device", exact=True).select_option("device2")
    control.button("Show").click()
    expect(page).to_have_url(re.compile("device=device2"))
    expect(lines.first).to_contain_text("device2")
    assert all("device2" in line for line in lines.all_inner_texts())
    with page.expect_download() as download:
        page.get_by_role("link", name="Download", exact=True).click()
    assert "device2" in Path(download.value.path()).read_text()


def test_history_curves_and_going_back(control: ControlPage, federation: Federation) -> None:
    control.run(2)  # a line has two ends
    control.outcome()
    version, page = newest_version(federation), control.page
    for name in ("Federated accuracy", "Federated loss"):
        figure = page.get_by_role("img", name=re.compile(f"^{name} of rounds 1 to"))
        expect(figure).to_be_visible()
        assert figure.locator(".line-device").count() == 2
    curves = control.section(re.compile(r"Training in round"))
    expect(curves.get_by_role("figure", name="device2: accuracy")).to_be_visible()
    curves.get_by_text("The numbers of device2").click()
    expect(curves.get_by_role("rowheader", name="1", exact=True)).to_be_visible()

    page.get_by_role("link", name="Promote version 0").click()
    expect(
        page.get_by_text(f"Go back to it: version {version + 1} gets these weights")
    ).to_be_visible()
    page.get_by_role("button", name="Promote version 0: the next round starts from it").click()
    expect(control.section("Rounds")).to_contain_text("the weights of version 0 again")
    assert newest_version(federation) == version + 1


def test_switching_tasks(control: ControlPage, page: Page) -> None:
    tasks = page.get_by_role("navigation", name="Task")
    assert control.rounds()
    tasks.get_by_role("link", name="cats_dogs").click()
    expect(control.section("Task cats_dogs")).to_contain_text("2: cat, dog")
    expect(control.section("Task cats_dogs")).to_contain_text("catdog_cnn")
    expect(page.get_by_text("No device has pictures of cats_dogs yet")).to_be_visible()
    expect(page.locator("#why-all").get_by_role("link", name="device1")).to_be_visible()
    expect(control.section("Rounds")).to_contain_text("No round yet")
    assert page.locator("form[action*='task=digits']").count() == 0
    tasks.get_by_role("link", name="digits").click()
    expect(control.section("Task digits")).to_contain_text("3 epochs a round")
    assert "start" in control.rounds()


def test_the_first_visit_waits_for_a_device(page: Page, tmp_path: Path) -> None:
    server = Server("main_server.wsgi:app", tmp_path, {})
    try:
        server.start()
        control = ControlPage(page, server.url)
        expect(page.get_by_text("First a device has to join")).to_be_visible()
        expect(control.section("Devices")).to_contain_text("dataset/<device>/digits")
        assert page.locator(".stepper .btn-primary").count() == 0
        for name in STEPS:
            expect(control.button(name)).to_be_disabled()
        page.goto("about:blank")  # its event stream ends before the server does
    finally:
        server.stop()


def test_text_of_twice_the_size_scrolls_only_down(control: ControlPage) -> None:
    control.page.set_viewport_size({"width": 320, "height": 640})
    control.page.evaluate("document.documentElement.style.fontSize = '32px'")
    assert control.page.evaluate("document.documentElement.scrollWidth") <= 320
