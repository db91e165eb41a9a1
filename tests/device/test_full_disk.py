"""A device whose disk is full says so, and goes on when there is space again."""

import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.device.heartbeat import Heartbeat
from shared.device.settings import DeviceSettings
from shared.federated.task import Task
from tests.device.schedule_house import ScheduleHouse, without_pauses


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def house(
    tmp_path: Path,
    make_settings: Callable[..., DeviceSettings],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ScheduleHouse]:
    without_pauses(monkeypatch)
    house = ScheduleHouse(tmp_path, Task(name="mnist", classes=("a", "b")), make_settings)
    house.beat()
    yield house
    house.close()


@pytest.mark.parametrize("call", ["download", "send"])
def test_its_schedule_tries_again(house: ScheduleHouse, call: str) -> None:
    house.server.fails = lambda made: full() if made == call else None
    for _ in range(3):
        house.look()
    assert "No space left on device" in house.status()["problem"]
    assert "It is tried again by itself." in house.status()["problem"]
    assert not house.server.accepted
    house.server.fails = lambda _made: None
    house.look()
    house.look()
    assert len(house.server.accepted) == 1
    assert house.status()["problem"] is None


def test_the_thread_that_looks_after_its_tasks_goes_on(
    house: ScheduleHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat: Heartbeat = house._heartbeat
    rows, looked_after = house.store.tasks, threading.Event()
    looked = threading.Event()

    def fail() -> None:
        looked.set()
        full()

    monkeypatch.setattr(house.store, "tasks", fail)
    monkeypatch.setattr(heartbeat, "_look_after", lambda _row: looked_after.set())
    threading.Thread(target=heartbeat._look_after_tasks, daemon=True).start()
    heartbeat._look_now.set()
    assert looked.wait(20)
    assert not looked_after.wait(0.1)
    monkeypatch.setattr(house.store, "tasks", rows)
    heartbeat._look_now.set()
    assert looked_after.wait(20)
