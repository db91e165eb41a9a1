"""Whatever happens in whatever order: what the page offers brings a round to its end."""

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from .answering_device import AnsweringDevice
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

    def heal(self) -> None:
        """All devices are there again, and nothing is wrong with them."""
        for device in self.devices:
            device.failing.clear()
            device.beat()

    def post(self, path: str) -> None:
        self.done.append((path, self.client.post(f"/{path}?task=digits").status_code))

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
    walk = Walk(client, devices, seed)
    for _ in range(4):
        for _ in range(walk.chance.randint(1, 6)):
            walk.happen()
        if primary(client) is None:
            told = look(client).one(id="round").text
            assert re.search(r"No device is ready|another device has to send", told), walk.done
        walk.heal()
        version, pressed = newest(client), 0
        while not is_through(client, version):
            step = primary(client)
            assert step is not None, (walk.done, look(client).one(id="round").text)
            walk.post(step)
            pressed += 1
            assert pressed <= MOST_PRESSES, walk.done
