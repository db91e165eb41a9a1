"""How long a client pauses while the main server does not take its calls."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.device.client import pauses
from shared.device.remote import RemoteProblem
from shared.federated.task import Task
from tests.device.client.fakes import away
from tests.device.client.memory_house import House
from tests.server import wait_until

ENOUGH = 9


class Clock(threading.Event):
    """Pauses that take no time, each noted; the client is to end after some of them."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """See Event."""
        self.pauses.append(timeout or 0)
        if len(self.pauses) == ENOUGH:
            self.set()
        return self.is_set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Every pause is as long as it may be."""
    monkeypatch.setattr("tenacity.wait.random.uniform", lambda _least, most: most)
    return Clock()


def make_house(directory: Path, clock: threading.Event, mode: str, **settings: object) -> House:
    house = House(directory, Task(name="mnist", classes=("a", "b"), mode=mode))
    house.settings = house.settings.model_copy(update={"max_wait_seconds": 60.0} | settings)
    house.make_event = lambda: clock
    return house


def fail(house: House, is_away: Callable[[str], bool]) -> None:
    """The main server does not take these calls."""

    def refuse(call: str) -> None:
        if is_away(call):
            raise away()

    house.server.fails = refuse


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_a_main_server_that_was_never_there_is_asked_less_and_less(
    tmp_path: Path, clock: Clock, tries: int, capsys: pytest.CaptureFixture[str]
) -> None:
    house = make_house(tmp_path, clock, "sync", max_retries=tries)
    fail(house, lambda _call: True)
    house.run(lambda: False)
    assert clock.pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert len(house.server.calls) == ENOUGH
    told = capsys.readouterr().out
    assert told.count("could not say hello: The main server cannot be reached;") == ENOUGH
    assert "the next try is in 60.0 s" in told


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_so_is_one_whose_newer_version_cannot_be_pulled(
    tmp_path: Path, clock: Clock, tries: int, capsys: pytest.CaptureFixture[str]
) -> None:
    house = make_house(tmp_path, clock, "sync", max_retries=tries)
    fail(house, lambda call: call == "download" and len(house.server.accepted) == 1)
    house.run(lambda: False)
    assert clock.pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert house.server.calls[-ENOUGH:] == ["download"] * ENOUGH
    assert capsys.readouterr().out.count("could not pull the newest version: ") == ENOUGH


def test_where_it_can_train_on_it_does_not_pause_for_it(tmp_path: Path, clock: Clock) -> None:
    house = make_house(tmp_path, clock, "async", max_retries=2)
    fail(house, lambda call: call == "send")
    house.run(lambda: False)
    # Between the two tries of a series; after the second it trains, and that is pause enough.
    assert clock.pauses == [1] * ENOUGH


def test_after_a_success_it_begins_anew(tmp_path: Path, clock: Clock) -> None:
    house = make_house(tmp_path, clock, "sync", max_retries=1)
    fails = {"tell": 3, "download": 2, "send": 0}

    def is_away(call: str) -> bool:
        fails[call] = fails.get(call, 0) - 1
        return fails[call] >= 0

    fail(house, is_away)
    house.run(lambda: True)
    assert clock.pauses == [1, 2, 4, 1, 2]


def test_the_end_wakes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.wait.random.uniform", lambda _least, most: most)
    monkeypatch.setattr(pauses, "_FIRST_PAUSE", 3600.0)
    stopping = threading.Event()
    house = make_house(tmp_path, stopping, "sync", max_retries=1, max_wait_seconds=3600.0)
    fail(house, lambda _call: True)
    run = threading.Thread(target=house.run, args=[lambda: False], daemon=True)
    run.start()
    wait_until(lambda: house.server.calls)
    time.sleep(0.1)
    assert run.is_alive()
    assert len(house.server.calls) == 1
    stopping.set()
    run.join(20)
    assert not run.is_alive()


def test_a_main_server_that_goes_away_after_a_refusal_does_not_end_it(
    tmp_path: Path, clock: Clock
) -> None:
    house = make_house(tmp_path, clock, "sync", max_retries=1)
    calls = house.server.calls

    def refuse(call: str) -> None:
        if call == "send" and calls.count("send") == 1:
            raise RemoteProblem({"status": 401, "detail": "Another token."})
        if call == "tell" and calls.count("tell") == 2:
            raise away()

    house.server.fails = refuse
    house.run(lambda: True)
    assert calls.count("send") == 2
    assert clock.pauses == [1]
