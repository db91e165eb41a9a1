"""Whatever happens in whatever order: what the page offers brings a round to its end."""

import random
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.server import wait_until

from .answering_device import AnsweringDevice
from .deadlines import open_server
from .page import look

STEPS = ("modeltrain", "sendmodel", "aggregate_models", "send_model_clients")
PROBLEMS = ("stale-update", "not-finite", "main-server-away", "broken")
#: Train, send and once more, aggregate, distribute; before that, what a round had left.
MOST_PRESSES = 8


@pytest.fixture
def devices(client: FlaskClient) -> Iterator[list[AnsweringDevice]]:
    made = [AnsweringDevice(client, name) for name in ("device1", "device2")]
    yield made
    for each in made:
        each.close()


class Walk:
    """Things that happen to a federation, by chance."""

    def __init__(self, client: FlaskClient, devices: list[AnsweringDevice], seed: int) -> None:
        self.client, self.devices = client, devices
        self.chance = random.Random(seed)
        self.done: list[Any] = []

    def happen(self) -> None:
        """One thing."""
        happenings: list[Callable[[], None]] = [self.press, self.press, self.ask, self.promote]
        happenings += [self.fail, self.tell, self.send_by_itself, self.forget]
        happenings += [self.ask_one, self.wake]
        self.chance.choice(happenings)()

    def press(self) -> None:
        enabled = [step for step in STEPS if "disabled" not in button(self.client, step)]
        if enabled:
            self.post(self.chance.choice(enabled))

    def ask(self) -> None:
        """Over HTTP every step can be asked for, also where the page offers it not."""
        self.post(self.chance.choice(STEPS))

    def promote(self) -> None:
        version = self.chance.randint(0, newest(self.client))
        self.post(f"models/{version}/promote")

    def fail(self) -> None:
        step = self.chance.choice(("modeltrain", "sendmodel", "aggmodel"))
        kind = self.chance.choice(PROBLEMS)
        self.device().failing[step] = (kind, "It cannot be done.")
        self.done.append((step, kind))

    def tell(self) -> None:
        """A heartbeat: of what is wrong, or of a version that is installed."""
        told: dict[str, Any] = self.chance.choice(
            ({"problem": "Clean the lens."}, {"reservation": "No test picture."}, {})
        )
        version = self.chance.randint(0, newest(self.client))
        self.device().beat(version=version, **told)
        self.done.append((version, told))

    def send_by_itself(self) -> None:
        device = self.device()
        device.train()
        device.send_trained()
        self.done.append("by itself")

    def forget(self) -> None:
        self.device().forget_training()
        self.done.append("forgotten")

    def ask_one(self) -> None:
        """By name: also who is rested, or not asked."""
        step = self.chance.choice(("modeltrain", "sendmodel"))
        self.post(step, f"&device={self.device().name}")

    def wake(self) -> None:
        self.post(f"devices/{self.device().name}/wake")

    def heal(self) -> None:
        """All devices are there again, and nothing is wrong with them."""
        for device in self.devices:
            device.failing.clear()
            device.beat()

    def post(self, path: str, more: str = "") -> None:
        status = self.client.post(f"/{path}?task=digits{more}").status_code
        self.done.append((path + more, status))
        assert status != 500, self.done

    def device(self) -> AnsweringDevice:
        return self.chance.choice(self.devices)


def newest(client: FlaskClient) -> int:
    version: int = client.get("/models?task=digits").json["versions"][0]["version"]
    return version


def button(client: FlaskClient, step: str) -> dict[str, str]:
    return (
        look(client)
        .one(id=f"step-{step}")
        .one("form", class_="step-action")
        .one("button")
        .attributes
    )


def primary(client: FlaskClient) -> str | None:
    steps = [step for step in STEPS if "btn-primary" in button(client, step)["class"]]
    assert len(steps) <= 1
    return steps[0] if steps else None


def is_through(client: FlaskClient, version: int) -> bool:
    """Whether a round has made a newer version, and it is sent out."""
    rows = client.get("/rounds?task=digits").json["rounds"]
    return bool(rows) and rows[0]["status"] == "distributed" and rows[0]["version"] > version


@pytest.mark.parametrize("seed", range(8))
def test_a_round_is_brought_to_its_end(
    client: FlaskClient, devices: list[AnsweringDevice], seed: int
) -> None:
    _walk(Walk(client, devices, seed))


#: Settings of rounds, each with the fewest updates of one.
ROUNDS = {
    "some": ("number = 1", 1),
    "some, not enough": ("number = 1\nrest_after = 1", 2),
    "the first": ("number = 1\nover_selection = 1", 1),
    "rests": ("rest_after = 1\nrest_rounds = 3", 2),
    "late ones too": ('fraction = 0.4\nlate_updates = "merge"\nrest_after = 2', 1),
    "deadline": ("deadline_seconds = 0.4\nrest_after = 1", 2),
    "all of it": ("deadline_seconds = 0.4\nnumber = 1\nover_selection = 1\nrest_after = 1", 1),
}


@pytest.mark.parametrize(("seed", "rounds"), list(enumerate(ROUNDS)))
def test_whoever_is_asked_a_round_is_brought_to_its_end(
    tmp_path: Path, seed: int, rounds: str
) -> None:
    client = open_server(tmp_path, *ROUNDS[rounds])
    devices = [AnsweringDevice(client, f"device{number}") for number in (1, 2, 3)]
    try:
        _walk(Walk(client, devices, seed), times=2)
    finally:
        for each in devices:
            each.close()


def _walk(walk: Walk, times: int = 4) -> None:
    """Things happen, and then somebody presses what the page proposes, until a round is through.

    Where a deadline has passed, the main server may be quicker.
    """
    client = walk.client
    waits = re.compile(r"No device is ready|another device has to send|(is|are) here")

    def is_told() -> bool:
        return primary(client) is not None or bool(waits.search(look(client).one(id="round").text))

    for _ in range(times):
        for _ in range(walk.chance.randint(1, 6)):
            walk.happen()
        wait_until(is_told, 30)
        walk.heal()
        version, pressed = newest(client), 0

        def proposed(before: int) -> str:
            return "through" if is_through(client, before) else primary(client) or ""

        while (step := wait_until(partial(proposed, version), 30)) != "through":
            walk.post(step)
            pressed += 1
            assert pressed <= MOST_PRESSES, walk.done
