"""A whole run that kills too little fails, however many processes it has; a selection does not."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults.counting import LEAST, PROPERTY, KillPointCount
from tests.server import ROOT


def told(number: int) -> pytest.TestReport:
    """What a test tells that has reached as many kill points, and two of them twice."""
    points = [f"step: before write {each}" for each in range(number)]
    return pytest.TestReport(
        nodeid="tests/faults/test_it.py::test_it",
        location=("tests/faults/test_it.py", 1, "test_it"),
        keywords={},
        outcome="passed",
        longrepr=None,
        when="teardown",
        user_properties=[("other", 1), (PROPERTY, points + points[:2])],
    )


def exit_status(number: int, *args: str, **options: Any) -> int:
    """How a session ends whose tests have passed, with as many kill points."""
    config: Any = SimpleNamespace(
        args=args,
        option=SimpleNamespace(**options),
        invocation_params=SimpleNamespace(dir=ROOT),
    )
    session: Any = SimpleNamespace(exitstatus=0)
    count = KillPointCount(config)
    count.pytest_runtest_logreport(told(number))
    count.pytest_sessionfinish(session, 0)
    return int(session.exitstatus)


@pytest.mark.parametrize("whole", ["tests", "tests/faults", "."])
def test_a_whole_run_has_to_reach_enough(whole: str) -> None:
    assert exit_status(LEAST, whole) == 0
    assert exit_status(LEAST - 1, whole) == 1


def test_a_selection_may_reach_less() -> None:
    assert exit_status(1, "tests/faults/test_asynchronous.py") == 0
    assert exit_status(1, "tests/faults/test_asynchronous.py::test_it") == 0
    assert exit_status(1, "tests/web") == 0
    assert exit_status(1, "tests", keyword="sqlite") == 0
    assert exit_status(1, "tests", markexpr="not browser") == 0
