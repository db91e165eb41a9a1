"""Jobs by themselves: what is kept, when, and how they learn that they should stop."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from shared.web.access.who import Caller, acting
from shared.web.database import Database, DatabaseAway
from shared.web.events import EventTables, newest_events
from shared.web.jobs import JobCancelled, JobControl, Jobs, JobTables
from shared.web.problems import NotFound
from tests.server import wait_until


@pytest.fixture
def open_database(tmp_path: Path, database_url: str) -> Iterator[Callable[[], Database]]:
    """Opens the same store again, as another process would."""
    databases: list[Database] = []
    url = database_url or f"sqlite:///{tmp_path / 'jobs.db'}"

    def open_it() -> Database:
        databases.append(Database(url, JobTables.metadata, EventTables.metadata))
        return databases[-1]

    yield open_it
    for database in databases:
        database.close()


@pytest.fixture
def open_jobs(open_database: Callable[[], Database], tmp_path: Path) -> Callable[[], Jobs]:
    """The jobs of one more process."""
    return lambda: Jobs(open_database(), tmp_path / "processes")


@pytest.mark.parametrize("durable", [True, False])
def test_a_commit_waits_for_the_disk_where_it_should(
    open_database: Callable[[], Database], database_url: str, durable: bool
) -> None:
    database = open_database()
    ask = "SHOW synchronous_commit" if database_url else "PRAGMA synchronous"
    for each in (not durable, durable):  # the connection is used again
        with database.write(durable=each) as session:
            told = session.scalar(text(ask))
    if database_url:
        assert told == ("on" if durable else "off")
    else:
        assert told == (2 if durable else 1)


def test_progress_is_seen_at_once_or_at_the_end(open_jobs: Callable[[], Jobs]) -> None:
    jobs, others = open_jobs(), open_jobs()
    seen: list[Any] = []

    def work(control: JobControl) -> dict[str, Any]:
        for at_once in (True, False):
            control.report({"at_once": at_once}, at_once=at_once)
            seen.append(others.get(control.job).progress)
        return {"job": control.job}

    job = jobs.run("modeltrain", "digits", work)["job"]
    assert seen == [{"at_once": True}, {"at_once": True}]
    assert others.get(job).progress == {"at_once": False}
    assert others.get(job).status == "done"


def test_what_waits_is_told_that_its_job_is_cancelled(open_jobs: Callable[[], Jobs]) -> None:
    jobs = open_jobs()
    told = threading.Event()
    calls: list[str] = []

    def work(control: JobControl) -> dict[str, Any]:
        with control.when_cancelled(lambda: calls.append("over")):
            pass
        with control.when_cancelled(told.set):
            assert told.wait(30)
        with control.when_cancelled(lambda: calls.append("at once")):
            assert calls == ["at once"]
        control.check()
        return {}

    job = jobs.start("modeltrain", "digits", work)
    jobs.cancel(job)
    ended = wait_until(lambda: jobs.get(job).status != "running" and jobs.get(job))
    assert (ended.status, ended.problem["title"]) == ("cancelled", JobCancelled.title)


def test_another_process_may_cancel(open_jobs: Callable[[], Jobs]) -> None:
    jobs, others = open_jobs(), open_jobs()

    def work(control: JobControl) -> dict[str, Any]:
        control.check()
        others.cancel(control.job)
        control.check()
        return {}

    with pytest.raises(JobCancelled):
        jobs.run("run_rounds", "digits", work)


def test_the_log_tells_who_cancels_and_whose_job_fails(
    open_jobs: Callable[[], Jobs], open_database: Callable[[], Database]
) -> None:
    jobs = open_jobs()

    def is_cancelled(control: JobControl) -> dict[str, Any]:
        for _ in range(2):
            jobs.cancel(control.job)  # asked twice, told once
        control.check()
        return {}

    def fails(_control: JobControl) -> dict[str, Any]:
        raise NotFound("There is none.")

    with acting(Caller("operator", "192.0.2.7")):
        with pytest.raises(JobCancelled):
            jobs.run("run_rounds", "digits", is_cancelled)
        job = jobs.start("sendmodel", "digits", fails)
        wait_until(lambda: jobs.get(job).status == "failed", 30)
    told = [
        (event.kind, event.message, event.task, event.by)
        for event in newest_events(open_database(), limit=5)
    ]
    by = "operator from 192.0.2.7"
    assert told == [
        ("job_failed", "sendmodel failed: There is none.", "digits", by),
        ("cancel_asked", "run_rounds was asked to stop", "digits", by),
    ]
    jobs.cancel(job)  # it is over
    assert len(newest_events(open_database(), limit=5)) == 2


def test_a_job_whose_end_the_store_could_not_take_is_over_all_the_same(
    open_database: Callable[[], Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database()
    jobs = Jobs(database, tmp_path / "processes")

    def away(_durable: bool) -> None:
        raise DatabaseAway("It is away.")

    def work(control: JobControl) -> dict[str, Any]:
        begun.append(control.job)
        monkeypatch.setattr(database, "write", away)
        return {"version": 1}

    begun: list[str] = []
    with pytest.raises(DatabaseAway):
        jobs.run("aggregate_models", "digits", work)
    monkeypatch.undo()
    told = jobs.get(begun[0])
    assert (told.status, told.result) == ("done", {"version": 1})
