"""A round as people look at it, by what the store and the devices say."""

import time
from dataclasses import replace
from typing import Any

import pytest

from main_server.offers import Offer
from main_server.pages.device_rows import Current
from main_server.pages.participants import Participant
from main_server.pages.step_words import STEPS
from main_server.pages.stepper import ROWS_SHOWN, stepper
from main_server.store.tables import DeviceStep, Round
from shared.federated.activity import Activity

NOW = time.time()
OFFERS = dict.fromkeys(STEPS, Offer(primary=False, reason="Not now."))


def round_row(status: str, **told: Any) -> Round:
    row = {"number": 3, "status": status, "base_version": 2, "version": None, "unchanged": None}
    return Round(**row | told)


def step(name: str, device: str, state: str = "done", **told: Any) -> DeviceStep:
    row = {"started": NOW - 10, "finished": NOW - 4, "attempts": 1, "result": None, "problem": None}
    if state == "running":
        row["finished"] = None
    return DeviceStep(task="digits", round=3, step=name, device=device, state=state, **row | told)


def device(name: str, **told: Any) -> Participant:
    same: dict[str, Any] = {
        "page_url": "http://127.0.0.1:1",
        "is_online": True,
        "last_seen": NOW,
        "num_samples": 10,
        "version": 2,
        "problem": None,
        "reservation": None,
        "activity": None,
    }
    return Participant(name, **same | told)


def current(row: Round | None, *steps: DeviceStep, **told: Any) -> Current:
    devices = [device("device1"), device("device2")]
    same: dict[str, Any] = {"participants": devices, "busy": False, "version": 2}
    return Current(number=3, row=row, device_steps=steps, offers=OFFERS, **same | told)


def states(of: Current) -> list[tuple[str, str]]:
    return [(each.kind, each.word) for each in stepper(of).steps]


WAITING = ("waiting", "waiting")


def test_a_step_is_what_its_devices_are() -> None:
    train = [step("modeltrain", name) for name in ("device1", "device2")]
    row = round_row("open")
    assert states(current(row, *train)) == [("done", "done"), WAITING, WAITING, WAITING]
    assert states(current(row, train[0]))[0] == ("waiting", "partly done")
    failed = step("modeltrain", "device2", "failed", problem={"detail": "Clean the lens."})
    assert states(current(row, train[0], failed))[0] == ("failed", "not on every device")
    assert states(current(row, failed))[0] == ("failed", "failed")
    running = step("modeltrain", "device2", "running")
    assert states(current(row, train[0], running, busy=True))[0] == ("running", "running")


@pytest.mark.parametrize(
    ("status", "done"), [("open", 0), ("aggregated", 3), ("distributed", 4), ("abandoned", 0)]
)
def test_rounds_of_which_no_step_was_noted(status: str, done: int) -> None:
    told = states(current(round_row(status)))
    other = ("waiting", "not done") if status == "abandoned" else WAITING
    assert told == [("done", "done")] * done + [other] * (4 - done)


def test_an_abandoned_round_that_has_a_version() -> None:
    told = states(current(round_row("abandoned", version=3), version=4))
    assert told == [("done", "done")] * 3 + [("waiting", "not done")]


def test_a_device_that_is_lost_while_it_is_asked() -> None:
    devices = [device("device1"), device("device2", is_online=False)]
    running = [step("modeltrain", each.name, "running") for each in devices]
    train = stepper(current(None, *running, participants=devices, busy=True)).steps[0]
    lost, asked = train.rows
    assert (lost.name, lost.kind) == ("device2", "lost")
    assert "Start it again" in lost.words
    assert (asked.name, asked.kind) == ("device1", "running")
    assert train.word == "running"


def test_who_has_not_begun_waits_is_away_or_says_why_not() -> None:
    devices = [
        device("away", is_online=False),
        device("broken", problem="Clean the lens."),
        device("ready"),
        device("without", num_samples=0),
    ]
    told = current(round_row("open"), step("modeltrain", "first"), participants=devices)
    rows = {row.name: (row.kind, row.words) for row in stepper(told).steps[0].rows}
    assert rows["away"] == ("lost", "Start it again, and it catches up.")
    assert rows["broken"] == ("failed", "Clean the lens.")
    assert rows["ready"] == ("waiting", "")
    assert "without" not in rows


def test_what_is_retried_depends_on_how_far_the_round_is() -> None:
    failed = [
        step(name, "device1", "failed", problem={"detail": "No."})
        for name in ("modeltrain", "sendmodel", "send_model_clients")
    ]

    def retried(status: str, busy: bool = False, newest: int = 2) -> list[bool]:
        row = round_row(status, version=2)
        told = stepper(current(row, *failed, busy=busy, version=newest)).steps
        return [any(row.can_retry for row in each.rows) for each in told]

    assert retried("open") == [True, True, False, False]
    assert retried("aggregated") == retried("distributed") == [False, False, False, True]
    assert not any(retried("open", busy=True))
    assert not any(retried("abandoned"))
    assert not any(retried("distributed", newest=3)), "another version would be sent"


def test_only_a_newer_activity_is_a_training_on_its_own() -> None:
    def row(elapsed: float) -> str:
        activity = Activity(
            step="modeltrain", phase="training", done=1, total=3, elapsed_seconds=elapsed
        )
        devices = [device("device1", activity=activity)]
        told = current(round_row("open"), step("modeltrain", "device1"), participants=devices)
        return stepper(told).steps[0].rows[0].kind

    assert row(elapsed=9.0) == "done", "it began before the step ended: that step's own"
    assert row(elapsed=1.0) == "running"


@pytest.mark.parametrize(
    ("status", "doing", "words"),
    [
        ("distributed", "modeltrain", "trains by itself, for round 4: epoch 2 of 3"),
        ("aggregated", "sendmodel", "sends by itself, for round 4: epoch 2 of 3"),
        ("distributed", "aggmodel", "installs a version by itself: epoch 2 of 3"),
        ("open", "modeltrain", None),
        ("aggregated", "aggmodel", None),
    ],
)
def test_who_works_by_itself_but_not_for_this_round(
    status: str, doing: Any, words: str | None
) -> None:
    activity = Activity(step=doing, phase="training", done=2, total=3, elapsed_seconds=1.0)
    told = current(round_row(status), participants=[device("device2", activity=activity)])
    view = stepper(told)
    assert view.by_itself == ([] if words is None else [("device2", words)])
    assert (view.kind == "running") == (words is None)
    assert stepper(replace(told, busy=True)).by_itself == []


def test_what_a_late_heartbeat_tells_of_a_finished_round_is_not_told() -> None:
    activity = Activity(step="modeltrain", phase="training", done=3, total=3, elapsed_seconds=9.0)
    devices = [device("device1", activity=activity)]
    told = current(round_row("distributed"), step("modeltrain", "device1"), participants=devices)
    assert stepper(told).by_itself == []


def test_devices_that_counted_as_unchanged() -> None:
    view = stepper(current(round_row("aggregated", version=3, unchanged={"device2": 628})))
    assert view.unchanged == ["device2 counted as unchanged (628 pictures)"]


def test_of_many_devices_those_that_need_attention_are_shown() -> None:
    names = [f"device{number:02}" for number in range(50)]
    steps = [step("modeltrain", name) for name in names[1:]]
    steps.append(step("modeltrain", names[0], "failed", problem={"detail": "Clean the lens."}))
    train = stepper(current(round_row("open"), *steps, participants=[])).steps[0]
    assert [row.name for row in train.rows] == names[:1]
    assert [row.name for row in train.folded] == names[1:]
    running = [step("modeltrain", name, "running") for name in names]
    train = stepper(current(None, *running, participants=[], busy=True)).steps[0]
    assert len(train.rows) == ROWS_SHOWN
    assert len(train.rows) + len(train.folded) == len(names)
