"""What the control page reads, in a store of a thousand rounds and fifty devices."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from main_server.list_calls import devices_as_json, rounds_as_json
from main_server.server import MainServer
from main_server.settings import MainServerSettings

from .filled_store import fill

_TASKS = '[tasks.digits]\nclasses = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]\nseed = 7\n'
TASK, ROUNDS, DEVICES, SHOWN = "digits", 1000, 50, 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> MainServer:
    directory = tmp_path_factory.mktemp("filled")
    fill(directory / "state", ROUNDS, DEVICES, TASK)
    return open_server(directory)


def open_server(directory: Path) -> MainServer:
    tasks = directory / "tasks.toml"
    tasks.write_text(_TASKS)
    return MainServer(MainServerSettings(state_directory=directory / "state", tasks_file=tasks))


def reads(server: MainServer) -> dict[str, Callable[[], object]]:
    """By name, what the control page asks of the store."""
    rows = server.rounds.page(TASK, SHOWN)
    return {
        "devices": lambda: devices_as_json(server, TASK),
        "rounds": lambda: server.rounds.page(TASK, SHOWN),
        "rounds as JSON": lambda: rounds_as_json(server, rows),
        "evaluations": lambda: server.rounds.evaluations(TASK, [row.version for row in rows]),
        "jobs": lambda: server.jobs.recent(TASK, 20),
        "newest": server.versions.newest_numbers,
        "steps": lambda: server.round_steps.of_round(TASK, ROUNDS),
        "last trainings": lambda: server.round_steps.last_trainings(TASK),
        "last problems": lambda: server.round_steps.last_problems(TASK),
    }


@contextmanager
def counting() -> Iterator[list[str]]:
    """The queries of this thread; servers of other tests may still have some that ask, too."""
    queries: list[str] = []
    here = threading.get_ident()

    def note(*arguments: Any) -> None:
        if threading.get_ident() == here:
            queries.append(arguments[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield queries
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_it_is_all_there(server: MainServer) -> None:
    assert len(devices_as_json(server, TASK)) == DEVICES
    assert all(device["online"] for device in devices_as_json(server, TASK))
    assert len(server.round_steps.of_round(TASK, ROUNDS)) == 3 * DEVICES + 1
    trainings = server.round_steps.last_trainings(TASK)
    assert len(trainings) == DEVICES
    assert min(row.round for row in trainings.values()) >= ROUNDS - 1
    assert len(server.round_steps.last_problems(TASK)) == DEVICES


def test_the_number_of_queries_does_not_grow_with_devices(
    server: MainServer, tmp_path: Path
) -> None:
    fill(tmp_path / "state", rounds=3, devices=2, task=TASK)
    small = open_server(tmp_path)
    numbers = []
    for each in (small, server):
        all_reads = reads(each)
        with counting() as queries:
            for read in all_reads.values():
                read()
        numbers.append(len(queries))
    assert numbers[0] == numbers[1] > len(reads(small))
