"""A device's page, as a person uses it, and pictures to give it."""

import base64
from collections.abc import Sequence

import cv2
import numpy as np
from playwright.sync_api import FilePayload, Locator, Page, expect

#: Makes a DataTransfer of files given as name and base64.
_TRANSFER = """files => {
  const transfer = new DataTransfer();
  for (const [name, content] of files) {
    const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  return transfer;
}"""
_PASTE = """(transfer) => (document.activeElement ?? document.body).dispatchEvent(
  new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true, cancelable: true}))"""


def picture(name: str, brightness: int = 120, seed: int = 0, side: int = 48) -> FilePayload:
    """A noisy PNG file."""
    noise = np.random.default_rng([brightness, seed]).normal(brightness, 30, (side, side, 3))
    content = cv2.imencode(".png", noise.clip(0, 255).astype(np.uint8))[1].tobytes()
    return {"name": name, "mimeType": "image/png", "buffer": content}


class DevicePage:
    """The page of one task of a device, opened."""

    def __init__(self, page: Page, url: str, task: str) -> None:
        self.page = page
        self.url = url
        self.task = task
        page.goto(f"{url}/?task={task}")

    def section(self, name: str) -> Locator:
        """The part of the page under that heading."""
        return self.page.get_by_role("region", name=name)

    def choose(self, *files: FilePayload) -> None:
        """Give files to the file picker."""
        self.page.get_by_label("Pictures", exact=True).set_input_files(files)

    def drop(self, area: str, *files: FilePayload) -> None:
        """Drop files on the element of that id."""
        transfer = self.page.evaluate_handle(_TRANSFER, _encoded(files))
        for event in ("dragenter", "dragover", "drop"):
            self.page.dispatch_event(f"#{area}", event, {"dataTransfer": transfer})

    def paste(self, *files: FilePayload) -> None:
        """Paste files where the focus is."""
        self.page.evaluate(_PASTE, self.page.evaluate_handle(_TRANSFER, _encoded(files)))

    def row(self, name: str) -> Locator:
        """What is told of an uploaded file."""
        return self.section("Add pictures").get_by_role("listitem").filter(has_text=name)

    def uploaded(self, summary: str) -> None:
        """Wait until an upload is over, and look at what is said of it."""
        over = self.page.get_by_role("button", name="Dismiss the list")
        expect(over).to_be_visible(timeout=60_000)
        expect(self.page.locator("#uploads-summary")).to_have_text(summary)

    def card(self, name: str) -> Locator:
        """An uploaded picture, in the list of all."""
        cards = self.section("Uploaded pictures").get_by_role("listitem")
        return cards.filter(has=self.page.get_by_text(name, exact=True))

    def focused(self) -> Locator:
        """What has the focus."""
        return self.page.locator(":focus")


def _encoded(files: Sequence[FilePayload]) -> list[list[str]]:
    return [[file["name"], base64.b64encode(file["buffer"]).decode()] for file in files]
