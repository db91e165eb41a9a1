"""How each step of each round went on each device: what pages show, live and later.

Rows are written as things happen and wait for no disk: a power cut may take the newest back,
and whatever counts (updates, versions, evaluations) is kept elsewhere.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select, update
from sqlalchemy.orm import Session, aliased

from main_server.store.tables import DeviceStep, DeviceTask, ReceivedUpdate
from shared.federated.update import Metric
from shared.web.database import Database
from shared.web.events import record
from shared.web.jobs import JobLost

RUNNING, DONE, FAILED = "running", "done", "failed"

#: The device of what the main server does itself.
MAIN_SERVER = ""

#: Problems of sending after which what was trained is still there, and may be sent later. With
#: any other problem it is gone, or was refused for what it is: training has to come again.
_SEND_AGAIN = frozenset(
    f"urn:fedbell:problem:{kind}"
    for kind in (
        *("device-away", "device-timeout", "device-answer", "main-server-away"),
        *("main-server-failed", "cut-short", "blank", "disk-full", "unexpected"),
        *("step-running", "job-lost", "job-cancelled", "round-over", "round-full"),
    )
)


@dataclass(frozen=True)
class StepEnd:
    """How a step ended on one device.

    Attributes:
        result: what is kept of its answer; None when it failed.
        problem: type, title and detail; None when it went well.
        event: kind and message of the event that tells of it, if one does.
    """

    result: Mapping[str, Any] | None = None
    problem: Mapping[str, Any] | None = None
    event: tuple[str, str] | None = None


class RoundSteps:
    """The device steps of all tasks.

    Args:
        job_runs: whether a job of that id still runs, in whichever process.
    """

    def __init__(self, database: Database, job_runs: Callable[[str], bool]) -> None:
        self._database = database
        self._job_runs = job_runs

    def begin(self, task: str, number: int, step: str, devices: Collection[str], job: str) -> None:
        """Note that ``step`` of round ``number`` has begun on all of ``devices``, for ``job``."""
        now = time.time()
        with self._database.write(durable=False) as session:
            known = {row.device: row for row in session.scalars(_of_step(task, number, step))}
            for device in devices:
                row = known.get(device)
                if row is None:
                    row = DeviceStep(task=task, round=number, step=step, device=device, attempts=0)
                    session.add(row)
                row.state, row.started, row.job = RUNNING, now, job
                row.finished = row.result = row.problem = None
                row.attempts += 1

    def end(self, task: str, number: int, step: str, ends: Mapping[str, StepEnd]) -> None:
        """Note how a step that was begun has ended on some of its devices."""
        now = time.time()
        with self._database.write(durable=False) as session:
            query = _of_step(task, number, step).where(DeviceStep.device.in_(list(ends)))
            for row in session.scalars(query):
                end = ends[row.device]
                row.state = FAILED if end.problem is not None else DONE
                row.result = dict(end.result) if end.result is not None else None
                row.problem = dict(end.problem) if end.problem is not None else None
                row.finished = now
                if end.event is not None:
                    kind, message = end.event
                    record(session, kind, message, task=task, device=row.device or None)

    def tell(self, task: str, kind: str, message: str) -> None:
        """Record an event that is about steps and about no single device."""
        with self._database.write(durable=False) as session:
            record(session, kind, message, task=task)

    def of_round(self, task: str, number: int) -> list[DeviceStep]:
        """All steps of one round, each on all its devices; in the order they were begun.

        What a server that was killed left as running is told as failed.
        """
        self._end_the_lost(task)
        query = (
            select(DeviceStep)
            .where(DeviceStep.task == task, DeviceStep.round == number)
            .order_by(DeviceStep.started, DeviceStep.device)
        )
        with self._database.read() as session:
            return [*session.scalars(query)]

    def has_trainings(self, task: str, number: int) -> bool:
        """Whether devices train in round ``number``, or have what they could send."""
        steps = self.of_round(task, number)
        is_running = any(row.step == "modeltrain" and row.state == RUNNING for row in steps)
        return is_running or bool(trained(steps))

    def trainings(self, task: str, numbers: Collection[int]) -> list[DeviceStep]:
        """The trainings that went well in the rounds ``numbers``, by round and device."""
        query = (
            select(DeviceStep)
            .where(
                DeviceStep.task == task,
                DeviceStep.step == "modeltrain",
                DeviceStep.round.in_(numbers),
                DeviceStep.state == DONE,
            )
            .order_by(DeviceStep.round, DeviceStep.device)
        )
        with self._database.read() as session:
            return [*session.scalars(query)]

    def last_trainings(self, task: str) -> dict[str, DeviceStep]:
        """Each device's last training that went well, by device."""
        other = aliased(DeviceStep)
        newest = (
            select(func.max(other.round))
            .where(
                other.task == task,
                other.step == "modeltrain",
                other.device == DeviceTask.device,
                other.state == DONE,
            )
            .correlate(DeviceTask)
            .scalar_subquery()
        )
        return self._of_each_device(
            task, DeviceStep.step == "modeltrain", DeviceStep.round == newest
        )

    def last_problems(self, task: str) -> dict[str, DeviceStep]:
        """The step of each device that failed last, by device; it may be long ago."""
        self._end_the_lost(task)
        other = aliased(DeviceStep)
        newest = (
            select(func.max(other.started))
            .where(other.task == task, other.device == DeviceTask.device, other.state == FAILED)
            .correlate(DeviceTask)
            .scalar_subquery()
        )
        return self._of_each_device(task, DeviceStep.state == FAILED, DeviceStep.started == newest)

    def _of_each_device(self, task: str, *conditions: ColumnElement[bool]) -> dict[str, DeviceStep]:
        """One row of each device that knows the task, as far as it has one."""
        same = (DeviceStep.task == DeviceTask.task) & (DeviceStep.device == DeviceTask.device)
        query = (
            select(DeviceStep)
            .select_from(DeviceTask)
            # An outer join for the sake of its order: from each device to its row, by the key.
            .outerjoin(DeviceStep, and_(same, *conditions))
            .where(DeviceTask.task == task)
        )
        with self._database.read() as session:
            return {row.device: row for row in session.scalars(query) if row is not None}

    def _end_the_lost(self, task: str) -> None:
        """Say of steps whose job is over that they are."""
        running = (DeviceStep.task == task, DeviceStep.state == RUNNING)
        with self._database.read() as session:
            jobs = set(session.scalars(select(DeviceStep.job).where(*running).distinct()))
        lost = [job for job in jobs if job is not None and not self._job_runs(job)]
        if not lost:
            return
        error = JobLost("The main server was stopped while this ran. Take the step again.")
        values = {"state": FAILED, "finished": time.time(), "problem": error.as_problem()}
        with self._database.write(durable=False) as session:
            session.execute(
                update(DeviceStep).where(*running, DeviceStep.job.in_(lost)).values(values)
            )


def note_update(
    session: Session,
    task: str,
    number: int,
    device: str,
    update: ReceivedUpdate,
    history: Mapping[Metric, list[float]],
) -> None:
    """Note, with an update that came, that its device has trained and sent in round ``number``.

    Nothing where the main server asked for it: it notes that by itself. A device may also train
    and send because pictures came; then this is all that is known of the training.
    """
    now, samples, metrics = time.time(), update.num_samples, dict(update.metrics)
    results: dict[str, dict[str, Any]] = {
        "modeltrain": {"num_samples": samples, "metrics": metrics, **_epochs(history)},
        "sendmodel": {"num_samples": samples, "bytes": update.bytes},
    }
    query = select(DeviceStep).where(
        DeviceStep.task == task,
        DeviceStep.round == number,
        DeviceStep.device == device,
        DeviceStep.step.in_(results),
    )
    known = {row.step: row for row in session.scalars(query)}
    for step, result in results.items():
        row = known.get(step)
        if row is None:
            row = DeviceStep(task=task, round=number, step=step, device=device, attempts=0)
            session.add(row)
        elif row.state == RUNNING or (row.result or {}).get("metrics") == metrics:
            continue
        row.state, row.started, row.finished, row.attempts = DONE, now, now, row.attempts + 1
        row.result, row.problem = result, None


def _epochs(history: Mapping[Metric, list[float]]) -> dict[str, Any]:
    if not history:
        return {}
    return {"history": dict(history), "epochs": max(map(len, history.values()))}


def trained(steps: Sequence[DeviceStep]) -> set[str]:
    """The devices that have something to send, by the steps of an open round.

    Those whose training went well; but not one that could not send it because it is gone, or
    because the main server refused it for what it is.
    """
    failed = {
        row.device: row.finished or row.started
        for row in steps
        if row.step == "sendmodel" and row.problem and row.problem.get("type") not in _SEND_AGAIN
    }
    return {
        row.device
        for row in steps
        if row.step == "modeltrain" and row.state == DONE
        if row.device not in failed or (row.finished or 0) > failed[row.device]
    }


def _of_step(task: str, number: int, step: str) -> Select[DeviceStep]:
    return select(DeviceStep).where(
        DeviceStep.task == task, DeviceStep.round == number, DeviceStep.step == step
    )
