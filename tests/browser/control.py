"""The control page, as a person uses it."""

from playwright.sync_api import Locator, Page, expect

TRAIN = "Model Training (Locally)"
SEND = "Send Model to Federated Server"
AGGREGATE = "Aggregate Local Models"
DISTRIBUTE = "Send Aggregated Models to Federated Clients"
STEPS = (TRAIN, SEND, AGGREGATE, DISTRIBUTE)


class ControlPage:
    """The page of one task, opened."""

    def __init__(self, page: Page, url: str, task: str = "digits") -> None:
        self.page = page
        self.url = f"{url}/?task={task}"
        page.goto(self.url)

    def button(self, name: str) -> Locator:
        """The button of exactly that name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def section(self, name: str) -> Locator:
        """The part of the page under that heading."""
        return self.page.get_by_role("region", name=name, exact=True)

    def press(self, name: str) -> None:
        """Click a button and come back to the page, where the step may still run."""
        with self.page.expect_navigation():
            self.button(name).click()

    def do(self, name: str) -> str:
        """Click a button, wait until its work is over, and read what happened."""
        self.press(name)
        return self.outcome()

    def outcome(self) -> str:
        """Wait until nothing runs any more, and read what happened."""
        expect(self.button("Run")).to_be_enabled(timeout=60_000)
        return self.section("What happened").inner_text()

    def run(self, rounds: int) -> None:
        """Start whole rounds."""
        self.page.get_by_label("Whole rounds").fill(str(rounds))
        self.press("Run")

    def blue(self) -> str:
        """The name of the step that the page proposes."""
        (name,) = [name for name in STEPS if "btn-primary" in self._classes(name)]
        return name

    def rounds(self) -> dict[str, float | None]:
        """The table: federated accuracy in percent by round, newest first, "start" last."""
        rows = self.section("Rounds").locator("tbody tr").all()
        told = [[cell.strip() for cell in row.locator("th, td").all_inner_texts()] for row in rows]
        return {cells[0]: _percent(cells[1]) for cells in told}

    def newest_round(self) -> int:
        """Its number; 0 when there is none."""
        return max((int(number) for number in self.rounds() if number != "start"), default=0)

    def device(self, name: str) -> Locator:
        """A device's row."""
        rows = self.section("Devices").get_by_role("row")
        return rows.filter(has=self.page.get_by_role("rowheader", name=name, exact=True))

    def _classes(self, name: str) -> str:
        return self.button(name).get_attribute("class") or ""


def _percent(cell: str) -> float | None:
    return float(cell.removesuffix("%")) if cell.endswith("%") else None
