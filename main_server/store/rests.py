"""Devices that failed in several rounds in a row are rested, and tried again later."""

from collections.abc import Iterable

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from main_server.store.round_rows import own_senders
from main_server.store.round_steps import FAILED, RUNNING
from main_server.store.tables import Device, DeviceStep, DeviceTask, Round
from shared.federated.task import Task
from shared.web.database import Database
from shared.web.events import record
from shared.web.problems import NotFound

_STOPPED = "urn:fedbell:problem:job-cancelled"
#: How a step ends on a device that was not needed any more.
_TOO_LATE = frozenset(f"urn:fedbell:problem:{kind}" for kind in ("round-over", "round-full"))
_OF_ROUND = ("modeltrain", "sendmodel")


def note_round_over(session: Session, task: Task, row: Round, seen_since: float) -> None:
    """Count, with the transaction that ends a round, who was asked in it and gave no update.

    A device whose training somebody stopped has not failed; nor has one that is there and was
    not quick enough for a round that takes the first updates, or asked in the place of another.

    Args:
        seen_since: devices that were last seen before this are lost, in seconds since 1970.
    """
    sent = {each.device for each in row.updates}
    is_full = row.quorum is not None and len(own_senders(row)) >= row.quorum
    stand_ins = row.stand_ins or {}
    problems, begun = _steps(session, row)
    asked = set(row.selected) if row.selected is not None else begun
    query = (
        select(DeviceTask, Device.last_seen)
        .join(Device, Device.name == DeviceTask.device)
        .where(DeviceTask.task == task.name, DeviceTask.device.in_(asked | sent))
    )
    for told, last_seen in session.execute(query).all():
        kinds = problems.get(told.device, set())
        is_excused = is_full or told.device in stand_ins
        if told.device in sent:
            told.failures, told.rests_until = 0, None
        elif _STOPPED in kinds:
            continue
        elif not (is_excused and kinds <= _TOO_LATE and last_seen > seen_since):
            _note_failure(session, task, told, row.number)


def _note_failure(session: Session, task: Task, told: DeviceTask, number: int) -> None:
    told.failures += 1
    settings = task.rounds
    if settings.rest_after is None or told.failures < settings.rest_after:
        return
    told.rests_until = number + 1 + settings.rest_rounds
    text = (
        f"{told.device} gave no update in {told.failures} rounds in a row: it is rested until "
        f"round {told.rests_until}"
    )
    record(session, "device_rested", text, task=task.name, device=told.device)


def _steps(session: Session, row: Round) -> tuple[dict[str, set[str]], set[str]]:
    """By device the types of problems its steps of a round ended with; and whom it has asked."""
    query = select(DeviceStep).where(
        DeviceStep.task == row.task,
        DeviceStep.round == row.number,
        DeviceStep.step.in_(_OF_ROUND),
    )
    problems: dict[str, set[str]] = {}
    begun = set()
    for step in session.scalars(query):
        if step.job is not None:
            begun.add(step.device)
        if step.state in (FAILED, RUNNING):
            kind = str((step.problem or {}).get("type", ""))
            problems.setdefault(step.device, set()).add(kind)
    return problems, begun


def wake(database: Database, device: str, tasks: Iterable[str]) -> list[str]:
    """Ask a rested device again from the next step on.

    Returns:
        Those of ``tasks`` in which it was rested or had failed.

    Raises:
        NotFound: there is no such device.
    """
    woken = []
    with database.write() as session:
        if session.get(Device, device) is None:
            raise NotFound(f"There is no device {device[:64]}.")
        for task in tasks:
            row = session.get(DeviceTask, (device, task))
            if row is None or (row.rests_until is None and not row.failures):
                continue
            session.execute(
                update(DeviceTask)
                .where(DeviceTask.device == device, DeviceTask.task == task)
                .values(failures=0, rests_until=None)
            )
            text = f"{device} is asked again: somebody woke it"
            record(session, "device_woken", text, task=task, device=device)
            woken.append(task)
    return woken
