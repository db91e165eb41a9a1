"""One job: its row in the store, and what its work uses to report and to learn to stop."""

import json
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, cast

from sqlalchemy import JSON, Table, bindparam, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from shared.errors import FedbellError
from shared.web.column_types import TEXT, WHOLE
from shared.web.database import Database

Status = Literal["running", "done", "failed", "cancelled"]


class JobTables(DeclarativeBase):
    """The tables of this module."""

    type_annotation_map: ClassVar = {str: TEXT, int: WHOLE, dict[str, Any]: JSON}


class Job(JobTables):
    """One run of one step. Times are seconds since 1970."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    task: Mapped[str]
    status: Mapped[str] = mapped_column(index=True)
    process: Mapped[str]
    started: Mapped[float] = mapped_column(index=True)
    finished: Mapped[float | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    progress: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    problem: Mapped[dict[str, Any] | None]

    def as_json(self) -> dict[str, Any]:
        """What ``GET /jobs/<id>`` answers."""
        names = ("id", "kind", "task", "status", "started", "finished")
        told = {name: getattr(self, name) for name in names}
        return told | {
            "progress": self.progress,
            "result": self.result,
            "problem": self.problem,
        }


JOBS = cast("Table", Job.__table__)
#: The job that the parameter ``job`` names.
THIS_JOB = JOBS.c.id == bindparam("job")


class JobCancelled(FedbellError):
    """The job was asked to stop, and did."""

    status = 409
    title = "Cancelled"


class JobControl:
    """What running work uses to report and to learn that it should stop.

    Attributes:
        job: its id.
        last_progress: kept until the job ends, if it was not written before.
    """

    def __init__(self, database: Database, job: str) -> None:
        self._database = database
        self.job = job
        self.last_progress: dict[str, Any] | None = None
        self._lock = threading.Lock()
        self._cancelled = False
        self._to_call: list[Callable[[], None]] = []

    def report(self, progress: dict[str, Any], at_once: bool = True) -> None:
        """Replace the job's progress, a JSON object.

        Args:
            at_once: show it now; if not, with the job's end, which is near.
        """
        self.last_progress = progress
        if at_once:
            with self._database.write(durable=False) as session:
                session.execute(
                    update(JOBS).where(THIS_JOB).values(progress=progress), {"job": self.job}
                )

    def cancelled(self) -> bool:
        """Whether somebody asked for the job to be cancelled, in whichever process."""
        with self._database.read() as session:
            return bool(
                session.scalar(select(JOBS.c.cancel_requested).where(THIS_JOB), {"job": self.job})
            )

    def check(self) -> None:
        """Raise JobCancelled when somebody asked for it."""
        if self.cancelled():
            raise JobCancelled("The job was cancelled. What it had finished stays.")

    def cancel(self) -> None:
        """Tell the work that somebody in its own process asked for it to be cancelled."""
        with self._lock:
            self._cancelled = True
            to_call = list(self._to_call)
        for call in to_call:
            call()

    @contextmanager
    def when_cancelled(self, call: Callable[[], None]) -> Iterator[None]:
        """Meanwhile, have ``call`` called as soon as somebody in this process cancels the job.

        So what waits need not look. It is called in another thread, or if the job has been
        cancelled before, at once.
        """
        with self._lock:
            self._to_call.append(call)
            before = self._cancelled
        if before:
            call()
        try:
            yield
        finally:
            with self._lock:
                self._to_call.remove(call)


def running_work(session: Session) -> Hashable:
    """The jobs that run and how far they are: differs when one begins, goes on or ends."""
    query = select(Job.id, Job.progress, Job.cancel_requested).where(Job.status == "running")
    return tuple(
        (row.id, json.dumps(row.progress), row.cancel_requested) for row in session.execute(query)
    )
