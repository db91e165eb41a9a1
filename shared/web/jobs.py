"""Jobs: work that may outlast a request, kept in the store so that any worker can tell of it.

A job belongs to the process that runs it. When that process is gone the job is
over too: whoever looks next says so.
"""

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Literal

from sqlalchemy import JSON, delete, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from shared.errors import FedbellError
from shared.web.database import Database
from shared.web.locks import try_lock
from shared.web.problems import NotFound

_log = logging.getLogger(__name__)

#: A lock file this old that nobody holds is left over from a process long gone.
_OLD_LOCK_SECONDS = 3600
#: Rounds and the log are kept for ever; how each step went, for 30 days.
_OLD_JOB_SECONDS = 30 * 24 * 3600

Status = Literal["running", "done", "failed", "cancelled"]


class JobTables(DeclarativeBase):
    """The tables of this module."""

    type_annotation_map: ClassVar = {dict[str, Any]: JSON}


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


class JobCancelled(FedbellError):
    """The job was asked to stop, and did."""

    status = 409
    title = "Cancelled"


class JobLost(FedbellError):
    """The server's process ended while the job ran."""

    status = 500
    title = "The server was stopped while this ran"


class JobControl:
    """What running work uses to report and to learn that it should stop."""

    def __init__(self, database: Database, job: str) -> None:
        self._database = database
        self.job = job

    def report(self, progress: dict[str, Any]) -> None:
        """Replace the job's progress, a JSON object."""
        with self._database.write() as session:
            session.execute(update(Job).where(Job.id == self.job).values(progress=progress))

    def cancelled(self) -> bool:
        """Whether somebody asked for the job to be cancelled."""
        with self._database.read() as session:
            asked = session.scalar(select(Job.cancel_requested).where(Job.id == self.job))
        return bool(asked)

    def check(self) -> None:
        """Raise JobCancelled when somebody asked for it."""
        if self.cancelled():
            raise JobCancelled("The job was cancelled. What it had finished stays.")


Work = Callable[[JobControl], dict[str, Any]]


class Jobs:
    """The jobs of one server, over all its processes.

    Args:
        database: holds JobTables.
        directory: for the lock files that tell which processes live.
    """

    def __init__(self, database: Database, directory: Path) -> None:
        self._database = database
        self._directory = directory
        self._process = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._alive = try_lock(self._lock_file(self._process))
        self._remove_what_is_old()

    def run(self, kind: str, task: str, work: Work) -> dict[str, Any]:
        """Run ``work`` in this thread, as a job; its answer, or its error."""
        job = self._add(kind, task)
        return self._run(job, work)

    def start(self, kind: str, task: str, work: Work) -> str:
        """Run ``work`` in a thread of its own; the job's id, at once."""
        job = self._add(kind, task)

        def run() -> None:
            try:
                self._run(job, work)
            except FedbellError as error:  # it is in the job's row
                _log.warning("%s failed: %s", kind, error)
            except Exception:  # noqa: BLE001 - a thread has nobody to pass it on to
                _log.exception("job %s (%s) failed", job, kind)

        threading.Thread(target=run, name=f"job-{job}", daemon=True).start()
        return job

    def get(self, job: str) -> Job:
        """The job of that id. Raises NotFound."""
        self._bury_the_lost()
        with self._database.read() as session:
            row = session.get(Job, job)
        if row is None:
            raise NotFound(f"There is no job {job[:64]}.")
        return row

    def recent(self, task: str | None = None, limit: int = 10) -> list[Job]:
        """The newest jobs, newest first."""
        self._bury_the_lost()
        query = select(Job).order_by(Job.started.desc(), Job.id).limit(limit)
        if task is not None:
            query = query.where(Job.task == task)
        with self._database.read() as session:
            return list(session.scalars(query))

    def cancel(self, job: str) -> Job:
        """Ask a job to stop; it does so at its next chance. Raises NotFound."""
        self.get(job)
        with self._database.write() as session:
            session.execute(update(Job).where(Job.id == job).values(cancel_requested=True))
        return self.get(job)

    def _add(self, kind: str, task: str) -> str:
        job = uuid.uuid4().hex
        with self._database.write() as session:
            session.add(
                Job(
                    id=job,
                    kind=kind,
                    task=task,
                    status="running",
                    process=self._process,
                    started=time.time(),
                )
            )
        return job

    def _run(self, job: str, work: Work) -> dict[str, Any]:
        try:
            result = work(JobControl(self._database, job))
        except JobCancelled as error:
            self._finish(job, "cancelled", problem=error.as_problem())
            raise
        except FedbellError as error:
            self._finish(job, "failed", problem=error.as_problem())
            raise
        except BaseException as error:
            told = FedbellError(f"{type(error).__name__}: {error}. The server's log says more.")
            self._finish(job, "failed", problem=told.as_problem())
            raise
        self._finish(job, "done", result=result)
        return result

    def _finish(
        self,
        job: str,
        status: Status,
        result: dict[str, Any] | None = None,
        problem: dict[str, Any] | None = None,
    ) -> None:
        with self._database.write() as session:
            _end(session, job, status, result, problem)

    def _bury_the_lost(self) -> None:
        running = select(Job.id, Job.process, Job.kind).where(
            Job.status == "running", Job.process != self._process
        )
        with self._database.read() as session:
            candidates = list(session.execute(running))
        for process in {row.process for row in candidates}:
            lock = try_lock(self._lock_file(process))
            if lock is None:
                continue  # it lives
            with self._database.write() as session:
                for row in candidates:
                    if row.process == process:
                        error = JobLost(f"Run {row.kind} again: nothing acknowledged is lost.")
                        _end(session, row.id, "failed", None, error.as_problem())
            lock.release()

    def _remove_what_is_old(self) -> None:
        self._bury_the_lost()
        with self._database.write() as session:
            session.execute(delete(Job).where(Job.finished < time.time() - _OLD_JOB_SECONDS))
        for path in self._directory.glob("*.lock"):
            with suppress(FileNotFoundError):  # another process that starts was quicker
                old = time.time() - path.stat().st_mtime > _OLD_LOCK_SECONDS
                if old and (lock := try_lock(path)):
                    path.unlink(missing_ok=True)
                    lock.release()

    def _lock_file(self, process: str) -> Path:
        return self._directory / f"{process}.lock"


def _end(
    session: Session,
    job: str,
    status: Status,
    result: dict[str, Any] | None,
    problem: dict[str, Any] | None,
) -> None:
    session.execute(
        update(Job)
        .where(Job.id == job, Job.status == "running")
        .values(status=status, result=result, problem=problem, finished=time.time())
    )
