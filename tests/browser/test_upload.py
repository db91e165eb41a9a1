"""Pictures come to a device by every way that people have, and train it; real servers."""

import struct
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, FilePayload, Page, Route, expect

from tests.browser.device import DevicePage, picture
from tests.browser.federation import Federation
from tests.server import Server, wait_until

pytestmark = pytest.mark.browser

_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


@pytest.fixture
def device(federation: Federation) -> Server:
    return federation.devices["device1"]


@pytest.fixture
def cats(page: Page, device: Server) -> DevicePage:
    return DevicePage(page, device.url, "cats_dogs")


def listed(device: Server, task: str = "cats_dogs") -> dict[str, dict[str, Any]]:
    """The uploaded pictures, by name."""
    told = device.get(f"/pictures?task={task}&limit=500")["pictures"]
    return {each["name"]: each for each in told}


def test_chosen_dropped_and_pasted(cats: DevicePage, device: Server) -> None:
    cats.choose(picture("cat.1.png", seed=1), picture("my-dog.png", seed=2))
    cats.uploaded("2 of 2 uploaded.")
    expect(cats.row("cat.1.png")).to_contain_text("kept as cat, by its name")
    cats.drop("upload-drop", picture("dog.2.png", seed=3))
    cats.uploaded("3 of 3 uploaded.")
    cats.page.get_by_label("Class of those whose name tells none").select_option("dog")
    cats.paste(picture("image.png", seed=4))
    cats.uploaded("4 of 4 uploaded.")
    expect(cats.row("image.png")).to_contain_text("kept as dog")

    expect(cats.card("image.png")).to_contain_text("dog, to train on, new")
    wide = "() => [...document.querySelectorAll('#pictures img')].every(i => i.naturalWidth)"
    cats.page.wait_for_function(wide)
    labels = {name: each["label"] for name, each in listed(device).items()}
    assert labels == {
        "cat.1.png": "cat",
        "my-dog.png": "dog",
        "dog.2.png": "dog",
        "image.png": "dog",
    }

    cats.choose(picture("again.png", seed=4))
    expect(cats.row("again.png")).to_contain_text("kept as dog. It was here already.")
    cats.page.get_by_role("button", name="Dismiss the list").click()
    expect(cats.row("image.png")).to_be_hidden()


def test_what_is_wrong_stands_beside_each_file(cats: DevicePage, device: Server) -> None:
    def file(name: str, content: bytes) -> FilePayload:
        return {"name": name, "mimeType": "image/png", "buffer": content}

    before = set(listed(device))
    good = picture("cat.good.png", seed=10)
    jpeg = cv2.imencode(".jpg", np.full((64, 64, 3), 90, np.uint8))[1].tobytes()
    most = device.status()["limits"]["most_picture_bytes"]
    wrong = {
        "cat.gif.png": (b"GIF89a" + bytes(50), "This is a GIF. Save it as JPEG or PNG"),
        "cat.cut.jpg": (jpeg[:-20], "cut short"),
        "empty.png": (b"", "The file is empty (0 bytes)."),
        "bomb.png": (_PNG + struct.pack(">II", 50000, 50000) + bytes(60), "50,000 x 50,000 pixels"),
        "large.jpg": (b"\xff\xd8\xff" + bytes(most), "20 MiB are taken (most_picture_bytes)"),
        "<b>\u202egnp.exe": (b"MZ" + bytes(90), "neither a JPEG nor a PNG"),
    }
    cats.choose(*(file(name, content) for name, (content, _) in wrong.items()), good)
    cats.uploaded("1 of 7 uploaded, 6 refused.")
    for name, (_, told) in wrong.items():
        expect(cats.row(name)).to_contain_text("refused")
        expect(cats.row(name)).to_contain_text(told)
    expect(cats.row("cat.good.png")).to_contain_text("kept as cat")
    assert set(listed(device)) == before | {"cat.good.png"}


def test_a_doubtful_one_is_asked_by_keyboard_alone(cats: DevicePage, device: Server) -> None:
    page = cats.page
    page.on("filechooser", lambda _chooser: None)  # from now on no window of the system opens
    files = page.get_by_label("Pictures", exact=True)
    for _ in range(40):
        page.keyboard.press("Tab")
        if files.evaluate("input => input === document.activeElement"):
            break
    expect(files).to_be_focused()
    assert files.evaluate("input => getComputedStyle(input).outlineStyle") != "none"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([picture("IMG_1.png", seed=20), picture("IMG_2.png", seed=21)])
    cats.uploaded("2 of 2 uploaded, 2 need a class: say it above.")

    asked = cats.section("Which class?")
    expect(asked.get_by_role("listitem")).to_have_count(2)
    asked.get_by_role("button", name="dog: IMG_2.png").focus()
    page.keyboard.press("Enter")
    expect(asked.get_by_role("listitem")).to_have_count(1)
    expect(cats.focused()).to_have_attribute("aria-label", "cat: IMG_1.png")
    page.keyboard.press("Space")
    expect(asked).to_have_count(0)
    expect(page.get_by_role("heading", name="cats_dogs")).to_be_focused()
    expect(cats.row("IMG_1.png")).to_contain_text("Its class was asked for and told.")
    expect(page.locator("#uploads-summary")).to_have_text("2 of 2 uploaded.")
    labels = {name: each["label"] for name, each in listed(device).items()}
    assert (labels["IMG_1.png"], labels["IMG_2.png"]) == ("cat", "dog")


def test_corrected_moved_and_deleted(cats: DevicePage, device: Server) -> None:
    page = cats.page
    cats.choose(picture("cat.wrong.png", seed=30), picture("cat.below.png", seed=31))
    cats.uploaded("2 of 2 uploaded.")
    card = cats.card("cat.wrong.png")
    card.get_by_text("Change").click()
    card.get_by_label("Class of cat.wrong.png").select_option("dog")
    card.get_by_label("What cat.wrong.png is for").select_option("test")
    card.get_by_role("button", name="Save").click()
    expect(card).to_contain_text("dog, to test")
    told = listed(device)["cat.wrong.png"]
    assert (told["label"], told["split"]) == ("dog", "test")

    page.once("dialog", lambda dialog: dialog.dismiss())
    card.get_by_role("button", name="Delete").click()
    expect(card).to_have_count(1)
    page.once("dialog", lambda dialog: dialog.accept())
    card.get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)
    assert cats.focused().evaluate("element => !!element.closest('#pictures-list li')")
    assert "cat.wrong.png" not in listed(device)


def test_without_scripts(page_without_scripts: Page, device: Server) -> None:
    page = page_without_scripts
    cats = DevicePage(page, device.url, "cats_dogs")
    broken: FilePayload = {"name": "dog.broken.png", "mimeType": "image/png", "buffer": _PNG}
    cats.choose(picture("DSC_7.png", seed=40), picture("dog.7.png", seed=41), broken)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("2 of 3 pictures kept")
    told = page.get_by_role("main").get_by_role("listitem")
    expect(told).to_contain_text(
        ["kept DSC_7.png", "kept dog.7.png as dog", "refused dog.broken.png"]
    )
    page.get_by_role("link", name="Say which class").click()
    cats.section("Which class?").get_by_role("button", name="cat: DSC_7.png").click()
    expect(cats.section("Which class?")).to_have_count(0)

    card = cats.card("DSC_7.png")
    expect(card).to_contain_text("cat, to")
    card.get_by_text("Change").click()
    card.get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)
    assert "DSC_7.png" not in listed(device)


def test_a_broken_connection_can_be_tried_again(browser: Browser, device: Server) -> None:
    context = browser.new_context()  # the connection's end stands in its console
    cats = DevicePage(context.new_page(), device.url, "cats_dogs")

    def cut(route: Route) -> None:
        route.abort()

    cats.page.route("**/pictures?*", cut)
    cats.choose(picture("cat.50.png", seed=50), picture("cat.51.png", seed=51))
    cats.uploaded("0 of 2 uploaded, 2 not sent.")
    expect(cats.row("cat.50.png")).to_contain_text("The connection broke")
    cats.page.unroute("**/pictures?*", cut)
    cats.page.get_by_role("button", name="Try again: cat.50.png").click()
    cats.uploaded("1 of 2 uploaded, 1 not sent.")
    cats.page.get_by_role("button", name="Try the broken ones again").click()
    cats.uploaded("2 of 2 uploaded.")
    assert {"cat.50.png", "cat.51.png"} <= set(listed(device))
    context.close()


def test_while_the_device_is_busy_it_is_sent_again(browser: Browser, device: Server) -> None:
    context = browser.new_context()  # what is answered stands in its console
    cats = DevicePage(context.new_page(), device.url, "cats_dogs")
    answered: list[str] = []

    def busy_at_first(route: Route) -> None:
        if route.request.method == "POST" and len(answered) < 2:
            answered.append(route.request.url)
            route.fulfill(status=503, headers={"Retry-After": "1"}, json={"detail": "Busy."})
        else:
            route.continue_()

    cats.page.route("**/pictures?*", busy_at_first)
    cats.choose(picture("cat.55.png", seed=55))
    cats.uploaded("1 of 1 uploaded.")
    assert len(answered) == 2
    assert "cat.55.png" in listed(device)
    context.close()


def test_a_thousand_files_at_once(cats: DevicePage) -> None:
    content = picture("", seed=60)["buffer"]
    cats.choose(
        *(
            FilePayload(name=f"cat.{number}.png", mimeType="image/png", buffer=content)
            for number in range(999)
        ),
        FilePayload(name="last.png", mimeType="image/png", buffer=b"GIF89a"),
    )
    rows = cats.section("Add pictures").get_by_role("listitem")
    expect(rows).to_have_count(100)
    expect(cats.page.locator("#uploads-more")).to_contain_text("900 more")
    pause = cats.page.get_by_role("button", name="Pause")
    pause.click()  # the page answers meanwhile
    expect(pause).to_have_attribute("aria-pressed", "true")
    expect(cats.page.get_by_role("button", name="Dismiss the list")).to_be_hidden()
    cats.uploaded("999 of 1000 uploaded, 1 refused.")
    expect(cats.row("last.png")).to_contain_text("This is a GIF")
    expect(rows).to_have_count(101)


def test_one_drop_on_each_device_makes_a_version(page: Page, federation: Federation) -> None:
    """The reference flow: dropped, trained, sent, aggregated, sent out; new global statistics."""
    before = len(federation.rounds("shades"))
    for seed, device in enumerate(federation.devices.values()):
        shades = DevicePage(page, device.url, "shades")
        switch = page.get_by_role("button", name="Train on upload")
        expect(switch).to_have_attribute("aria-pressed", "false")
        switch.click()
        expect(switch).to_have_attribute("aria-pressed", "true")
        pictures = [
            picture(f"{name}.{number}.png", brightness, 10 * seed + number)
            for name, brightness in (("dark", 50), ("light", 200))
            for number in range(6)
        ]
        shades.drop("upload-drop", *pictures)
        shades.uploaded("12 of 12 uploaded.")
        expect(page.locator("#log")).to_contain_text("Trained by itself", timeout=60_000)
        expect(page.locator("#log")).to_contain_text(" new pictures: ")

    def measured() -> Any:
        rounds = federation.rounds("shades")[before:]
        return [row for row in rounds if row["evaluation"]] or None

    newest = wait_until(measured)[-1]
    assert newest["version"] >= 1
    assert 0 <= newest["evaluation"]["accuracy"] <= 1
    expect(page.locator("#summary")).to_contain_text("own test pictures right", timeout=60_000)
    expect(shades.section("Training").locator("figure")).to_have_count(2)
    expect(page.locator("#training")).to_contain_text("0 new pictures wait")
    for device in federation.devices.values():
        device.do("/auto_train?task=shades", {"on": False})
