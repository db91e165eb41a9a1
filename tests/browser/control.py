"""The control page, as a person uses it."""

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.server import wait_until

TRAIN = "Model Training (Locally)"
SEND = "Send Model to Federated Server"
AGGREGATE = "Aggregate Local Models"
DISTRIBUTE = "Send Aggregated Models to Federated Clients"
STEPS = (TRAIN, SEND, AGGREGATE, DISTRIBUTE)

#: The steps' own addresses, by what their buttons say.
CALLS = dict(
    zip(STEPS, ("modeltrain", "sendmodel", "aggregate_models", "send_model_clients"), strict=True)
)
RUN = "Run them all"


class ControlPage:
    """The page of one task, opened.

    Args:
        scripts: whether the page runs its scripts; without them a click leads to another page.
    """

    def __init__(self, page: Page, url: str, task: str = "digits", scripts: bool = True) -> None:
        self.page = page
        self.server = url
        self.url = f"{url}/?task={task}"
        self._scripts = scripts
        page.goto(self.url)

    def button(self, name: str) -> Locator:
        """The button of exactly that name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def section(self, name: str | re.Pattern[str]) -> Locator:
        """The part of the page under that heading."""
        return self.page.get_by_role("region", name=name, exact=isinstance(name, str))

    def press(self, name: str) -> None:
        """Click a button; the server has answered, and what it began may still run."""
        if self._scripts:
            with self.page.expect_response(lambda answer: answer.request.method == "POST"):
                self.button(name).click()
        else:
            with self.page.expect_navigation():
                self.button(name).click()

    def do(self, name: str) -> str:
        """Click a button, wait until its work is over, and read what happened."""
        self.press(name)
        return self.outcome()

    def outcome(self) -> str:
        """Wait until nothing runs any more and the page tells it; read what happened."""
        job = self.ended_job()
        ended = self.page.locator(f"#run time[data-ago='{job['finished']}']")
        expect(ended).to_be_visible()
        expect(self.page.locator("#busy")).to_have_count(0)
        return self.section("What happened").inner_text()

    def ended_job(self) -> dict[str, Any]:
        """The newest job that was not refused, once it is over."""

        def look() -> dict[str, Any] | None:
            jobs = self.page.request.get(f"{self.server}/jobs").json()["jobs"]
            job: dict[str, Any] = next(job for job in jobs if not _is_refusal(job))
            return None if job["status"] == "running" else job

        found: dict[str, Any] = wait_until(look)
        return found

    def run(self, rounds: int) -> None:
        """Start whole rounds."""
        self.page.get_by_role("spinbutton", name="Rounds").fill(str(rounds))
        self.press(RUN)

    def blue(self) -> str:
        """The name of the step that the page proposes."""
        proposed = self.page.locator(".stepper .btn-primary")
        expect(proposed).to_have_count(1)
        return proposed.inner_text()

    def step(self, name: str) -> Locator:
        """A step of the round, by what its button says."""
        return self.page.locator(f"#step-{CALLS[name]}")

    def row(self, name: str, device: str) -> Locator:
        """What a step of the round says of a device."""
        rows = self.step(name).locator(".device-row")
        return rows.filter(has=self.page.locator(".device-name", has_text=device))

    def rounds(self) -> dict[str, float | None]:
        """The table: federated accuracy in percent by round, newest first, "start" last."""
        rows = self.page.locator(".rounds-table tbody tr").all()
        told = [[cell.strip() for cell in row.locator("th, td").all_inner_texts()] for row in rows]
        return {cells[0]: _percent(cells[1]) for cells in told}

    def newest_round(self) -> int:
        """Its number; 0 when there is none."""
        return max((int(number) for number in self.rounds() if number.isdecimal()), default=0)

    def device(self, name: str) -> Locator:
        """A device's card."""
        return self.page.locator(f"#device-{name}")


def _is_refusal(job: dict[str, Any]) -> bool:
    return str((job["problem"] or {}).get("type", "")).endswith(":step-running")


def _percent(cell: str) -> float | None:
    return float(cell.removesuffix("%")) if cell.endswith("%") else None
