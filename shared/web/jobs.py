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
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from shared.errors import FedbellError
from shared.web.access.who import Caller, acting, current
from shared.web.database import Database
from shared.web.events import record
from shared.web.job_control import (
    JOBS,
    THIS_JOB,
    Job,
    JobCancelled,
    JobControl,
    JobTables,
    Status,
)
from shared.web.locks import try_lock
from shared.web.problems import NotFound

__all__ = ["Job", "JobCancelled", "JobControl", "JobLost", "JobTables", "Jobs", "Work"]

_log = logging.getLogger(__name__)

#: A lock file this old that nobody holds is left over from a process long gone.
_OLD_LOCK_SECONDS = 3600
#: Rounds and the log are kept for ever; how each step went, for 30 days.
_OLD_JOB_SECONDS = 30 * 24 * 3600
#: So much of what went wrong stands in the log; the job's row has all of it.
_MOST_TOLD = 500


class JobLost(FedbellError):
    """The server's process ended while the job ran."""

    status = 500
    title = "The server was stopped while this ran"


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
        self._controls: dict[str, JobControl] = {}
        #: The ends of jobs that the store could not take, by job, with who asked; it is told
        #: when it can.
        self._untold: dict[str, tuple[Caller, dict[str, Any]]] = {}
        self._alive = try_lock(self._lock_file(self._process))
        self._remove_what_is_old()

    def run(self, kind: str, task: str, work: Work) -> dict[str, Any]:
        """Run ``work`` in this thread, as a job; its answer, or its error."""
        # Whoever asked learns its end from the answer: the row is for those who look on.
        return self._run(self._add(kind, task, durable=False), work, durable=False)

    def start(self, kind: str, task: str, work: Work) -> str:
        """Run ``work`` in a thread of its own; the job's id, at once.

        The log says of what it does that whoever asks now did it.
        """
        control, caller = self._add(kind, task, durable=True), current()

        def run() -> None:
            try:
                with acting(caller):
                    self._run(control, work, durable=True)
            except FedbellError as error:  # it is in the job's row
                _log.warning("%s failed: %s", kind, error)
            except Exception:  # noqa: BLE001 - a thread has nobody to pass it on to
                _log.exception("job %s (%s) failed", control.job, kind)

        threading.Thread(target=run, name=f"job-{control.job}", daemon=True).start()
        return control.job

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
        asked = (
            update(JOBS)
            .where(THIS_JOB, JOBS.c.status == "running", ~JOBS.c.cancel_requested)
            .values(cancel_requested=True)
            .returning(JOBS.c.kind, JOBS.c.task)
        )
        with self._database.write() as session:
            if row := session.execute(asked, {"job": job}).first():
                record(session, "cancel_asked", f"{row.kind} was asked to stop", task=row.task)
        if control := self._controls.get(job):
            control.cancel()
        return self.get(job)

    def _add(self, kind: str, task: str, durable: bool) -> JobControl:
        control = JobControl(self._database, uuid.uuid4().hex)
        self._controls[control.job] = control  # before anybody can see the job, to cancel it
        row = {
            "id": control.job,
            "kind": kind,
            "task": task,
            "status": "running",
            "process": self._process,
            "started": time.time(),
        }
        with self._database.write(durable) as session:
            session.execute(insert(JOBS), row)
        return control

    def _run(self, control: JobControl, work: Work, durable: bool) -> dict[str, Any]:
        result = problem = None
        status: Status = "failed"
        try:
            result = work(control)
            status = "done"
        except FedbellError as error:
            status = "cancelled" if isinstance(error, JobCancelled) else "failed"
            problem = error.as_problem()
            raise
        except BaseException as error:
            told = FedbellError(f"{type(error).__name__}: {error}. The server's log says more.")
            problem = told.as_problem()
            raise
        finally:
            del self._controls[control.job]
            self._tell_end(control, durable, status=status, result=result, problem=problem)
        return result

    def _tell_end(self, control: JobControl, durable: bool, **values: Any) -> None:
        if control.last_progress is not None:
            values["progress"] = control.last_progress
        values["finished"] = time.time()
        try:
            with self._database.write(durable) as session:
                _end(session, control.job, values)
        except BaseException:
            self._untold[control.job] = (current(), values)
            raise

    def _tell_the_untold(self) -> None:
        """A job whose end found the database away, or its disk full, is over all the same."""
        for job, (caller, values) in list(self._untold.items()):
            with acting(caller), self._database.write() as session:
                _end(session, job, values)
            self._untold.pop(job, None)

    def _bury_the_lost(self) -> None:
        self._tell_the_untold()
        running = select(Job.id, Job.process, Job.kind).where(
            Job.status == "running", Job.process != self._process
        )
        with self._database.read() as session:
            candidates = list(session.execute(running))
        for process in {row.process for row in candidates}:
            lock = try_lock(self._lock_file(process))
            if lock is None:
                continue  # it lives
            with acting(Caller(None, None)), self._database.write() as session:
                for row in candidates:
                    if row.process == process:
                        error = JobLost(f"Run {row.kind} again: nothing acknowledged is lost.")
                        problem = error.as_problem()
                        told = {"status": "failed", "problem": problem, "finished": time.time()}
                        _end(session, row.id, told)
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


def _end(session: Session, job: str, values: dict[str, Any]) -> None:
    """Note how a job has ended, unless that is known; the log tells of one that failed."""
    running = update(JOBS).where(THIS_JOB, JOBS.c.status == "running")
    statement = running.values(values).returning(JOBS.c.kind, JOBS.c.task)
    row = session.execute(statement, {"job": job}).first()
    if row and values["status"] == "failed":
        told = str(values["problem"]["detail"])[:_MOST_TOLD]
        record(session, "job_failed", f"{row.kind} failed: {told}", task=row.task)
