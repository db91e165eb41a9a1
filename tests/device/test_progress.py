"""When a step may be done, by a clock of the tests' own; and what the main server is told."""

import math
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.device.progress import SHORT_SECONDS, Pace, activity, with_times
from shared.device.store import Store
from shared.device.turns import Running
from shared.web.jobs import JobControl


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time stands still until a test sets ``now``."""
    clock = SimpleNamespace(now=1000.0)
    clock.time = clock.monotonic = lambda: clock.now
    monkeypatch.setattr("shared.device.progress.time", clock)
    return clock


def test_what_comes_first_counts_only_while_it_is_all_there_is(clock: SimpleNamespace) -> None:
    pace = Pace()
    clock.now = 1010  # the first epoch took ten seconds: compiling
    first = pace.timed({"phase": "training", "epoch": 1, "epochs": 5})
    assert first["due"] == 1010 + 4 * 10
    clock.now = 1012
    second = pace.timed({"phase": "training", "epoch": 2, "epochs": 5})
    assert second["due"] == 1012 + 3 * 2
    clock.now = 1014
    assert with_times(second, 1000)["eta_seconds"] == 4
    assert with_times(second, 1000)["elapsed_seconds"] == 14
    clock.now = 1100
    assert with_times(second, 1000)["eta_seconds"] == 0


def test_each_phase_has_a_pace_of_its_own(clock: SimpleNamespace) -> None:
    pace = Pace()
    clock.now = 1100
    features = {"phase": "features", "split": "train", "done": 100, "total": 100}
    assert pace.timed(features)["due"] == 1100
    nothing = pace.timed({"phase": "features", "split": "test", "done": 0, "total": 10})
    assert nothing["due"] is None
    assert with_times(nothing, 1000)["eta_seconds"] is None
    clock.now = 1101
    training = pace.timed({"phase": "training", "epoch": 1, "epochs": 3})
    assert training["due"] == 1101 + 2 * 1


def test_a_short_step_is_no_activity(tmp_path: Path) -> None:
    assert activity(None) is None
    assert activity(Running("modeltrain", None)) is None
    long = Running("sendmodel", None, time.monotonic() - SHORT_SECONDS)
    told = activity(long)
    assert told is not None
    assert (told.step, told.phase, told.done, told.total) == ("sendmodel", None, 0, 0)

    control = JobControl(Store(tmp_path, "door").database, "unknown")
    history = {"loss": [2.0, 1.5], "accuracy": [0.1, math.nan]}
    control.report({"phase": "training", "epoch": 2, "epochs": 9, "history": history})
    told = activity(Running("modeltrain", control, time.monotonic() - 3))
    assert told is not None
    assert (told.phase, told.done, told.total) == ("training", 2, 9)
    assert (told.loss, told.accuracy, told.val_loss) == (1.5, None, None)
    assert told.elapsed_seconds == pytest.approx(3, abs=0.5)
