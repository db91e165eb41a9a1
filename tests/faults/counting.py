"""Counts the kill points that a session has reached, and fails it when there were too few.

A test tells its own in its report, which reaches the process that sums up, also when tests run in
several.
"""

from pathlib import Path

import pytest

from tests.faults.kill_points import ALL

#: The user property of a report.
PROPERTY = "killed_at"

_FAULTS = Path(__file__).parent
#: What a run of all tests of this folder has to reach.
LEAST = 200 if ALL else 20
#: Options with which not all of the tests that are named run.
_NARROWING = (
    *("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "stepwise"),
    *("setuponly", "setupplan"),
)


class KillPointCount:
    """A plugin of pytest.

    Args:
        config: of the session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._points: set[tuple[str, str]] = set()
        self._has_begun = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note where a test has killed something."""
        if report.when != "teardown":
            return
        self._has_begun |= report.nodeid.startswith("tests/faults/")
        for name, points in report.user_properties:
            if name == PROPERTY and isinstance(points, list):
                self._points |= {(report.nodeid, str(point)) for point in points}

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail a whole run that has killed too little."""
        if exitstatus == pytest.ExitCode.OK and self._lacks:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say how many there were."""
        if self._points or self._lacks:
            least = f", of at least {LEAST}" if self._is_whole else ""
            line = f"killed at {len(self._points)} distinct points{least}"
            terminalreporter.write_sep("=", line, red=self._lacks, bold=True)

    @property
    def _lacks(self) -> bool:
        return self._has_begun and self._is_whole and len(self._points) < LEAST

    @property
    def _is_whole(self) -> bool:
        """Whether all of this folder was asked for. Said by the options alone: a process that only
        distributes tests to others collects none itself."""
        option = self._config.option
        narrowed = any(getattr(option, name, None) for name in _NARROWING)
        if narrowed or hasattr(self._config, "workerinput"):
            return False
        asked = [
            (self._config.invocation_params.dir / each).resolve() for each in self._config.args
        ]
        return any(path == _FAULTS or path in _FAULTS.parents for path in asked)
