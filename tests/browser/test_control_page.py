"""Rounds from the control page, in a real browser, with real servers."""

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


def test_four_buttons_are_a_round_without_scripts(control_without_scripts: ControlPage) -> None:
    control = control_without_scripts
    before = control.newest_round()
    told = control.do(TRAIN)
    assert TRAIN in told
    assert "device1: 6" in told
    assert "device2: 6" in told
    assert told.count("alone it now gets") == 2
    number = control.newest_round()
    assert control.blue() == SEND
    expect(control.device("device1")).to_contain_text("not sent")

    assert "kB of weights" in control.do(SEND)
    expect(control.device("device1")).not_to_contain_text("not sent")
    assert control.blue() == AGGREGATE

    assert "2 updates" in control.do(AGGREGATE)
    assert control.blue() == DISTRIBUTE

    assert "federated accuracy" in control.do(DISTRIBUTE)
    assert control.blue() == TRAIN

    assert number in {before, before + 1}
    rounds = control.rounds()
    accuracy, start = rounds[str(number)], rounds["start"]
    assert accuracy is not None
    assert start is not None
    assert start < 30
    assert accuracy > 85
    heading = control.page.get_by_role("heading", level=1)
    expect(heading).to_contain_text(f"federated accuracy {accuracy}")


def test_whole_rounds(control_without_scripts: ControlPage) -> None:
    control = control_without_scripts
    control.run(2)
    told = control.outcome()
    assert "Whole rounds: done" in told
    newest = control.newest_round()
    assert all(f"Round {number}: version" in told for number in (newest - 1, newest))
    rounds = control.rounds()
    assert (rounds[str(newest)] or 0) > (rounds["start"] or 0)


def test_stopping_after_the_step_while_another_tab_looks_on(
    control: ControlPage, federation: Federation
) -> None:
    other = ControlPage(control.page.context.new_page(), federation.main.url)
    before = control.newest_round()
    control.run(1000)
    expect(control.button(TRAIN)).to_be_disabled()

    other.press(TRAIN)  # its button is still there to be pressed
    expect(other.section("What happened")).to_contain_text("Whole rounds: running")
    expect(other.section("What happened")).to_contain_text("of 1000")

    control.press("Stop after this step")
    assert "stopped as you asked" in control.outcome()
    assert control.newest_round() < before + 1000
    job = jobs(federation, "run_rounds")[0]
    assert job["status"] == "cancelled"
    assert "stopped as you asked" in other.outcome()

    for step in STEPS[STEPS.index(control.blue()) :]:  # the blue button goes on from there
        assert "done" in control.do(step)


def test_one_step_by_keyboard(control: ControlPage) -> None:
    focused = control.page.locator(":focus")
    for _ in range(20):
        control.page.keyboard.press("Tab")
        if focused.inner_text() == TRAIN:
            break
    expect(control.button(TRAIN)).to_be_focused()
    assert focused.evaluate("element => getComputedStyle(element).boxShadow") != "none"
    with control.page.expect_navigation():
        control.page.keyboard.press("Enter")
    assert f"{TRAIN}: done" in control.outcome()


def test_a_double_click_and_reloads_do_nothing_twice(
    control: ControlPage, federation: Federation
) -> None:
    before = newest_version(federation)
    done = len([job for job in jobs(federation, "run_rounds") if job["status"] == "done"])
    control.page.get_by_label("Whole rounds").fill("1")
    with control.page.expect_navigation():
        control.button("Run").dblclick()
    control.page.reload()
    control.page.reload()
    assert "Whole rounds: done" in control.outcome()
    control.page.reload()
    assert newest_version(federation) == before + 1
    now = [job for job in jobs(federation, "run_rounds") if job["status"] == "done"]
    assert len(now) == done + 1


def test_back_after_a_step_is_a_page_and_no_second_step(
    control: ControlPage, federation: Federation
) -> None:
    control.page.goto(f"{federation.main.url}/")
    control.do(SEND)
    before = len(jobs(federation, "sendmodel"))
    control.page.go_back()
    expect(control.page).to_have_url(f"{federation.main.url}/")
    expect(control.button(TRAIN)).to_be_enabled()
    control.page.go_forward()
    expect(control.button(TRAIN)).to_be_enabled()
    assert len(jobs(federation, "sendmodel")) == before


def test_switching_tasks(control: ControlPage, page: Page) -> None:
    tasks = page.get_by_role("navigation", name="Tasks")
    assert control.rounds()
    tasks.get_by_role("link", name="faces").click()
    expect(tasks.locator("[aria-current=page]")).to_have_text("faces")
    expect(control.section("Rounds")).to_contain_text("No round yet")
    assert page.locator("form[action*='task=digits']").count() == 0
    tasks.get_by_role("link", name="digits").click()
    expect(tasks.locator("[aria-current=page]")).to_have_text("digits")
    assert "start" in control.rounds()


def test_the_first_visit_waits_for_a_device(page: Page, tmp_path: Path) -> None:
    server = Server("main_server.wsgi:app", tmp_path, {})
    try:
        server.start()
        control = ControlPage(page, server.url)
        expect(page.get_by_text("First a device has to join")).to_be_visible()
        expect(control.section("Devices")).to_contain_text("dataset/<device>/digits")
        assert page.locator(".steps .btn-primary").count() == 0
        assert "There is no global model yet" in control.do(TRAIN)
    finally:
        server.stop()
