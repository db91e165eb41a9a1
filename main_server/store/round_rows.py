"""Rows of rounds, found or made within a transaction."""

from sqlalchemy import select
from sqlalchemy.orm import Session, lazyload

from main_server import rounds as rules
from main_server.selection import Chosen, awake, choose, selects
from main_server.store.candidates import candidates
from main_server.store.strategy_rows import in_use, note_strategy
from main_server.store.tables import ReceivedUpdate, Round, Version
from shared.federated.task import Task
from shared.web.events import record


def newest_round(session: Session, task: str, with_updates: bool = True) -> Round | None:
    """The newest round of a task, whatever its status."""
    query = select(Round).where(Round.task == task).order_by(Round.number.desc()).limit(1)
    return session.scalar(query if with_updates else query.options(lazyload(Round.updates)))


def open_round(
    session: Session, task: Task, started: float, model: Version, seen_since: float = 0.0
) -> Round:
    """The open round; opened from ``model``, as of ``started``, when there is none.

    Args:
        seen_since: devices that were last seen before this, in seconds since 1970, are not there:
            a round that chooses whom it asks does not choose them.
    """
    row = newest_round(session, task.name, with_updates=False)
    if row is not None and row.status == rules.OPEN:
        return row
    number = row.number + 1 if row is not None else 1
    chosen = Chosen(None, None)
    if task.mode == "sync" and selects(task.rounds):
        known = candidates(session, task.name, seen_since)
        up = awake(known, number, task.needed_updates)
        chosen = choose([name for name in up if known[name].is_ready], task, number)
    seconds = task.rounds.deadline_seconds if task.mode == "sync" else None
    opened = Round(
        task=task.name,
        number=number,
        status=rules.OPEN,
        base_version=model.version,
        started=started,
        selected=chosen.asked,
        quorum=chosen.quorum,
        deadline=started + seconds if seconds else None,
        updates=[],
    )
    note_strategy(opened, in_use(session, task))
    session.add(opened)
    record(session, "round_opened", f"round {number} from version {model.version}", task=task.name)
    session.flush()
    return opened


def senders(session: Session, row: Round) -> list[str]:
    """The devices whose own update of a synchronous round is here, not only a late one of an
    earlier one; read without the updates themselves."""
    query = select(ReceivedUpdate.device).where(
        ReceivedUpdate.round_id == row.id, ReceivedUpdate.number == 0
    )
    return [*session.scalars(query)]


def own_senders(row: Round) -> set[str]:
    """The same of a round whose updates are read already."""
    return {update.device for update in row.updates if update.base_version is None}


def received_before(
    session: Session, task: str, device: str, sha256: str
) -> tuple[int, ReceivedUpdate] | None:
    """An update of a device that counts already, and its round's number; None: it does not."""
    query = (
        select(Round.number, ReceivedUpdate)
        .join(ReceivedUpdate, ReceivedUpdate.round_id == Round.id)
        .where(Round.task == task, ReceivedUpdate.device == device, ReceivedUpdate.sha256 == sha256)
        # In a round that was abandoned before it had a version it does not count.
        .where((Round.status != rules.ABANDONED) | Round.version.is_not(None))
    )
    found = session.execute(query).first()
    return (found[0], found[1]) if found else None
