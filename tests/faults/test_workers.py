"""Two workers of one main server: they answer alike, and the end of one is no end of the other."""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.checks import check_files
from tests.faults.kill_points import Trap
from tests.federation import Federation
from tests.server import Server, is_gone, wait_until

pytestmark = pytest.mark.faults

LISTS = ("/tasks", "/rounds", "/rounds/1", "/models", "/jobs", "/openapi.json")
STEPS = ("/modeltrain", "/sendmodel", "/aggregate_models", "/send_model_clients")


@pytest.fixture(scope="module")
def federation(ready: Federation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    federation = Federation(tmp_path_factory.mktemp("workers"))
    Trap(federation.main, federation.directory / "trap")
    for device in federation.devices.values():
        # A connection kept open to a worker that a test has stopped is given up soon.
        device.environment["ANSWER_SECONDS"] = "3"
    try:
        ready.copy_to(federation)
        federation.start()
        yield federation
    finally:
        federation.close()


@pytest.fixture
def trap(federation: Federation) -> Iterator[Trap]:
    trap = Trap(federation.main, federation.directory / "trap")
    yield trap
    trap.disarm()


def both(server: Server) -> list[int]:
    """The two workers, once the arbiter has started both and they serve."""
    wait_until(lambda: len(server.workers()) == 2)
    for worker in server.workers():
        with only(server, worker):
            wait_until(server.is_ready)
    return sorted(server.workers())


@contextmanager
def only(server: Server, worker: int) -> Iterator[None]:
    """Whatever is answered meanwhile is answered by ``worker``: the other one is stopped."""
    (other,) = set(server.workers()) - {worker}
    wait_until(lambda: _stopped_with_nothing_in_hand(server, other))
    try:
        yield
    finally:
        os.kill(other, signal.SIGCONT)


def _stopped_with_nothing_in_hand(server: Server, worker: int) -> bool:
    """Stop a worker, unless it is just writing to the store: then all others would wait."""
    os.kill(worker, signal.SIGSTOP)
    stat = Path(f"/proc/{worker}/stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
    connection = sqlite3.connect(server.state / "main_server.db", timeout=1, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        os.kill(worker, signal.SIGCONT)
        return False
    finally:
        connection.close()
    return True


def answers(server: Server) -> dict[str, Any]:
    """What can be asked of the main server and does not change by itself."""
    told = {path: server.get(path) for path in LISTS}
    devices = server.get("/devices")["devices"]
    for device in devices:
        device.pop("last_seen")
    told["version"] = server.http.get("/models/latest").content
    return told | {"devices": devices, "missing": server.http.get("/rounds/99").json()}


def test_each_step_on_another_worker_and_the_same_answers_from_both(federation: Federation) -> None:
    workers = both(federation.main)
    for number in range(1, 3):
        for index, step in enumerate(STEPS):
            with only(federation.main, workers[(number + index) % 2]):
                federation.main.do(step)
        for name in federation.devices:
            federation.caught_up(name, version=number)
        told = []
        for worker in workers:
            with only(federation.main, worker):
                told.append(answers(federation.main))
        assert told[0] == told[1]
        assert [row["version"] for row in federation.rounds()] == list(range(1, number + 1))


def test_many_calls_at_once(federation: Federation) -> None:
    both(federation.main)
    expected = federation.main.http.get("/rounds").text
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: federation.main.http.get("/rounds").text, range(60)))
    assert set(told) == {expected}


def hold(trap: Trap, number: int) -> None:
    """Hold the server before that write, until the trap is disarmed."""
    trap.arm(number, "hold", ignored=("clientstatus", "modeltrain", "sendmodel"))


def held(trap: Trap) -> int:
    """The process that is held, once one is."""
    return int(wait_until(lambda: trap.writes)[-1].rpartition(" ")[2])


@pytest.mark.parametrize("write", [3, 7])
def test_a_second_aggregation_while_one_runs(
    federation: Federation, trap: Trap, write: int
) -> None:
    both(federation.main)
    federation.main.do("/modeltrain")
    federation.main.do("/sendmodel")
    newest = max(federation.versions())
    hold(trap, write)
    job = federation.main.begin("/aggregate_models")
    wait_until(lambda: len(trap.writes) >= write)
    for worker in federation.main.workers():
        if worker == held(trap):
            continue
        with only(federation.main, worker):
            for step in (*STEPS, "/run_rounds"):
                refused = federation.main.post(step)
                assert refused.status_code == 409, refused.text
                assert refused.json()["type"] == "urn:fedbell:problem:step-running"
                assert "Wait for it" in refused.json()["detail"]
    for _ in range(6):
        assert federation.main.post("/aggregate_models").status_code == 409
    trap.disarm()
    assert federation.main.ended(job)["result"]["version"] == newest + 1
    assert max(federation.versions()) == newest + 1
    assert federation.main.post("/aggregate_models").json()["type"].endswith("too-few-updates")
    federation.main.do("/send_model_clients")


def test_the_end_of_a_worker_fails_its_job_and_no_other(federation: Federation, trap: Trap) -> None:
    both(federation.main)
    federation.main.do("/modeltrain")
    federation.main.do("/sendmodel")
    newest = max(federation.versions())
    hold(trap, 5)
    job = federation.main.begin("/aggregate_models")
    wait_until(lambda: len(trap.writes) >= 5)
    worker = held(trap)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: is_gone(worker))
    trap.disarm()
    lost = federation.main.ended(job)
    assert lost["status"] == "failed"
    assert "Run aggregate_models again" in lost["problem"]["detail"]
    assert federation.main.do("/aggregate_models")["version"] == newest + 1
    federation.main.do("/send_model_clients")


def test_a_worker_that_starts_leaves_an_update_alone_that_is_about_to_count(
    federation: Federation, trap: Trap
) -> None:
    workers = both(federation.main)
    federation.devices["device1"].do("/modeltrain")
    newest = len(federation.rounds())
    hold(trap, 4)  # the file has its place, its row and its round's are not committed yet
    job = federation.devices["device1"].begin("/sendmodel")
    wait_until(lambda: len(trap.writes) >= 4)
    assert "COMMIT" in trap.writes[-1]
    (other,) = set(workers) - {held(trap)}
    os.kill(other, signal.SIGKILL)
    wait_until(lambda: is_gone(other) and len(federation.main.workers()) == 2)
    trap.disarm()
    assert federation.devices["device1"].ended(job)["status"] == "done"
    both(federation.main)
    check_files(federation, federation.rounds())
    assert federation.main.do("/aggregate_models")["round"] == newest + 1
    federation.main.do("/send_model_clients")


def is_old(file: Path) -> bool:
    return time.time() - file.stat().st_mtime > 24 * 3600


def test_workers_that_tidy_up_at_the_same_moment(federation: Federation) -> None:
    federation.main.stop()
    long_ago = time.time() - 2 * 24 * 3600
    for folder, name in (("processes", "{}-dead.lock"), ("incoming", "{}.part")):
        for number in range(300):
            file = federation.main.state / folder / name.format(number)
            file.touch()
            os.utime(file, (long_ago, long_ago))
    federation.main.start()
    both(federation.main)
    assert not [file for file in (federation.main.state / "incoming").iterdir() if is_old(file)]
    assert "Traceback" not in federation.main.tail()


def test_two_workers_begin_a_new_state_together(tmp_path: Path) -> None:
    for attempt in range(3):
        federation = Federation(tmp_path / str(attempt), devices=())
        try:
            federation.main.start()
            both(federation.main)
            assert "Traceback" not in federation.main.tail()
            assert federation.main.get("/rounds")["rounds"] == []
        finally:
            federation.close()
