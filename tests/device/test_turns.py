"""Whose turn it is, without servers."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from shared.device.store import Store
from shared.device.turns import StepRunning, Turns
from shared.web.jobs import JobCancelled, JobControl


class Control(JobControl):
    """Of a job that can be cancelled without a row; knows whether it was asked."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.database, "unknown")
        self.asked, self.stop = threading.Event(), False

    def cancelled(self) -> bool:
        self.asked.set()
        return self.stop


@pytest.fixture
def make_control(tmp_path: Path) -> Callable[[], Control]:
    store = Store(tmp_path, "door")
    return lambda: Control(store)


def test_nobody_waits_for_a_training(make_control: Callable[[], Control]) -> None:
    turns = Turns("door")
    with turns.take("shades", "modeltrain"):
        told = pytest.raises(StepRunning, match="door is at modeltrain of task shades")
        with told:
            turns.check("shades")
        for control in (make_control(), None):
            with told:
                _take(turns, control)
        turns.check("parcels")
    turns.check("shades")


def _take(turns: Turns, control: Control | None) -> str:
    with turns.take("shades", "aggmodel", control):
        return "done"


def test_one_waits_for_a_short_step_and_no_other(make_control: Callable[[], Control]) -> None:
    turns, first = Turns("door"), make_control()
    with ThreadPoolExecutor() as pool, ExitStack() as running:
        running.enter_context(turns.take("shades", "aggmodel"))
        waits: Future[str] = pool.submit(_take, turns, first)
        assert first.asked.wait(30)
        with pytest.raises(StepRunning, match="at aggmodel"):
            turns.check("shades")
        with pytest.raises(StepRunning, match="at aggmodel"):
            _take(turns, make_control())
        running.close()
        assert waits.result(30) == "done"
    turns.check("shades")


def test_one_that_waits_can_be_cancelled(make_control: Callable[[], Control]) -> None:
    turns, control = Turns("door"), make_control()
    control.stop = True
    with turns.take("shades", "sendmodel"), pytest.raises(JobCancelled):
        _take(turns, control)
    assert _take(turns, make_control()) == "done"


def test_a_step_that_fails_gives_its_turn_back(make_control: Callable[[], Control]) -> None:
    turns = Turns("door")
    with pytest.raises(ZeroDivisionError), turns.take("shades", "modeltrain"):
        raise ZeroDivisionError
    assert _take(turns, make_control()) == "done"


def test_what_runs_is_told(make_control: Callable[[], Control]) -> None:
    turns, taken, control = Turns("door"), threading.Event(), make_control()
    turns.when_taken = taken.set
    assert (turns.running("shades"), turns.longest()) == (None, None)
    with turns.take("shades", "aggmodel", control) as running:
        assert taken.is_set()
        assert turns.running("shades") is running
        assert (running.step, running.control) == ("aggmodel", control)
        assert 0 <= running.seconds <= (turns.longest() or 0)
        with pytest.raises(StepRunning):
            turns.check_free("shades")
        turns.check_free("parcels")
    turns.check_free("shades")
    assert turns.longest() is None
