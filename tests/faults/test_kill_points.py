"""kill -9 before and after each write of each step of a round.

One federation goes on from kill to kill, a round each, beside one that nobody kills:
their versions are equal, byte for byte.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.checks import Ledger, Undisturbed, check_device, check_main_server
from tests.faults.kill_points import Point, Trap, walk
from tests.federation import Federation
from tests.server import Server

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

STEPS = ("modeltrain", "sendmodel", "aggregate_models", "send_model_clients")

#: Heartbeats come when they like, and so does progress: they are no writes of a step.
ON_MAIN, ON_DEVICE = ("clientstatus",), ("_beat", "report")


@pytest.fixture(scope="module")
def undisturbed(
    ready: Federation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Undisturbed]:
    federation = Federation(tmp_path_factory.mktemp("undisturbed"))
    try:
        ready.copy_to(federation)
        federation.start()
        yield Undisturbed(federation)
    finally:
        federation.close()


class Killed(Federation):
    """A federation with a trap in its main server and its first device."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.first = self.devices["device1"]
        self.traps = {
            server.name: Trap(server, directory / f"trap-{server.name}")
            for server in (self.main, self.first)
        }


@pytest.fixture(scope="module")
def federation(ready: Federation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    federation = Killed(tmp_path_factory.mktemp("killed"))
    try:
        ready.copy_to(federation)
        federation.start()
        yield federation
    finally:
        federation.close()


def bring_back(server: Server, federation: Federation, before: Ledger) -> None:
    """Start a killed server; all that was acknowledged is there, and no job runs any more."""
    server.start()
    before.check_kept(Ledger(federation))
    for job in server.get("/jobs")["jobs"]:
        # A device that is back may be fetching what it missed.
        assert job["status"] != "running" or job["kind"] == "aggmodel", job
        if job["status"] == "failed" and job["problem"]["type"].endswith("job-lost"):
            assert f"Run {job['kind']} again" in job["problem"]["detail"]


@pytest.mark.parametrize(
    ("server", "step", "chosen"),
    [
        ("main_server", "modeltrain", 2),
        ("main_server", "sendmodel", 3),
        ("main_server", "aggregate_models", 4),
        ("main_server", "send_model_clients", 3),
        ("device1", "modeltrain", 2),
        ("device1", "sendmodel", 2),
        ("device1", "send_model_clients", 2),
    ],
)
def test_killed_in_a_step(
    federation: Killed, undisturbed: Undisturbed, server: str, step: str, chosen: int
) -> None:
    for point in walk(f"{server} {step}", chosen):
        try:
            run_a_round(federation, server, step, point)
            check_main_server(federation, undisturbed)
            check_device(federation.first, federation)
            newest = federation.rounds()[-1]
            assert (newest["status"], newest["version"]) == ("distributed", newest["number"])
            assert newest["evaluation"]["num_samples"] == 6 + 8
        except BaseException as error:
            error.add_note(point.story())
            raise


def run_a_round(federation: Killed, name: str, step: str, point: Point) -> None:
    """All four steps; in ``step`` the server is killed, started, and the step done again."""
    on_main = name == "main_server"
    server = federation.main if on_main else federation.first
    for each in STEPS:
        if each == step:
            before = Ledger(federation)
            answer = federation.traps[name].spring(
                point,
                lambda: federation.main.post(f"/{step}"),
                ON_MAIN if on_main else ON_DEVICE,
            )
            if point.reached:
                if not on_main:
                    assert answer is not None
                    told = answer.json()["devices"]
                    assert "device1 cannot be reached" in told["device1"]["error"]["detail"]
                    assert "error" not in told["device2"]
                bring_back(server, federation, before)
        answer_again = federation.main.post(f"/{each}")
        if each == "aggregate_models" and step == each:
            # Done before the kill, or just now: then there is nothing to aggregate any more.
            assert answer_again.status_code in {200, 409}, answer_again.text
            continue
        assert answer_again.is_success, answer_again.text
        for told in answer_again.json().get("devices", {}).values():
            assert "error" not in told


def test_killed_in_run_rounds(federation: Killed, undisturbed: Undisturbed) -> None:
    for point in walk("main_server run_rounds", 3):
        before = Ledger(federation)
        federation.traps["main_server"].spring(
            point, lambda: federation.main.do("/run_rounds", {"rounds": 1}), ON_MAIN
        )
        try:
            if point.reached:
                bring_back(federation.main, federation, before)
            (told,) = federation.main.do("/run_rounds", {"rounds": 1})["rounds"]
            assert (told["updates"], told["errors"]) == (2, {})
            check_main_server(federation, undisturbed)
            assert federation.rounds()[-1]["status"] == "distributed"
        except BaseException as error:
            error.add_note(point.story())
            raise
