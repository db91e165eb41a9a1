"""Turns: one at a time over threads and processes, and nobody waits for ever."""

import threading
import time
from pathlib import Path

import pytest

from main_server.turns import TaskBusy, Turns


def test_one_at_a_time(tmp_path: Path) -> None:
    """Two of them are as two processes: nothing but the files is common."""
    both = [Turns(tmp_path), Turns(tmp_path)]
    inside: list[int] = []
    order: list[int] = []

    def work(which: int) -> None:
        for _ in range(20):
            with both[which].take("digits"):
                inside.append(which)
                time.sleep(0.001)
                assert len(inside) == 1
                inside.clear()
                order.append(which)

    threads = [threading.Thread(target=work, args=(number % 2,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(order) == [0] * 60 + [1] * 60


def test_who_waits_too_long_is_told(tmp_path: Path) -> None:
    with Turns(tmp_path).take("digits"):
        for other in (Turns(tmp_path, 0.05), Turns(tmp_path, 0.0)):
            with pytest.raises(TaskBusy, match="send it again"), other.take("digits"):
                pass
        with Turns(tmp_path, 5).take("parcels"):
            pass
    with Turns(tmp_path, 5).take("digits"):
        pass


def test_an_error_ends_a_turn(tmp_path: Path) -> None:
    turns = Turns(tmp_path, 5)
    with pytest.raises(ZeroDivisionError), turns.take("digits"):
        _ = 1 / 0
    with turns.take("digits"):
        pass
