"""How rounds end: a device has their version, or nobody wants it any more."""

import time
from collections.abc import Collection, Iterable

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from main_server import rounds as rules
from main_server.store.round_rows import newest_round
from main_server.store.strategy_rows import note_updates_are_through
from main_server.store.tables import DeviceTask, Evaluation, Round, Version
from shared.web.database import Database


def note_installed(session: Session, task: str, versions: Collection[int | None]) -> None:
    """Note that a device has some versions: rounds that wait to be sent out are distributed.

    Their versions are released with that, so that devices that are away fetch them later.
    """
    waiting = (Round.task == task, Round.version.in_(versions), Round.status == rules.AGGREGATED)
    for row in [*session.scalars(select(Round).where(*waiting))]:
        row.status, row.finished = rules.DISTRIBUTED, time.time()
        session.execute(
            update(Version)
            .where(Version.task == task, Version.version == row.version)
            .values(released=True)
        )


def give_up_round(session: Session, task: str) -> Round | None:
    """Abandon the newest round unless it is through: the next one starts from another version.

    Returns:
        The round; None where there was nothing to give up, also because a device has its version.
    """
    row = newest_round(session, task)
    if row is None or row.status not in (rules.OPEN, rules.AGGREGATED):
        return None
    if _is_installed(session, row):
        note_installed(session, task, [row.version])
        return None
    row.status, row.finished = rules.ABANDONED, time.time()
    note_updates_are_through(session, task)
    return row


def settle_rounds(database: Database, tasks: Iterable[str]) -> None:
    """End rounds that wait to be sent out, and have no need to; at the start.

    An earlier Fedbell left such ones: a device had their version, or a newer one was promoted.
    """
    for task in tasks:
        with database.write(durable=False) as session:
            row = newest_round(session, task)
            if row is None or row.status != rules.AGGREGATED or row.version is None:
                continue
            newer = (Version.task == task, Version.version > row.version)
            if _is_installed(session, row):
                note_installed(session, task, [row.version])
            elif session.scalar(select(Version.version).where(*newer).limit(1)) is not None:
                row.status, row.finished = rules.ABANDONED, time.time()


def _is_installed(session: Session, row: Round) -> bool:
    """Whether a device has told that it has a round's version, or how well that does."""
    if row.version is None:
        return False
    told = select(DeviceTask).where(DeviceTask.task == row.task, DeviceTask.version == row.version)
    measured = select(Evaluation).where(
        Evaluation.task == row.task, Evaluation.version == row.version
    )
    return bool(session.scalar(select(or_(told.exists(), measured.exists()))))
