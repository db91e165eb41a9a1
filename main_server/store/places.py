"""Places in rounds: kept in transactions, so that every process asks the same devices."""

import time
from collections.abc import Mapping

from sqlalchemy.orm import Session

from main_server.selection import Candidate, Chosen, awake, selects, stand_ins
from main_server.store.candidates import candidates
from main_server.store.round_rows import senders
from main_server.store.tables import Round, Version
from shared.federated.task import Task
from shared.web.events import record


def is_given_up(row: Round) -> bool:
    """Whether nobody waits any more for those that an open round asks.

    So it is at its deadline, and again each time that those who stand in have had as long as the
    round was to last.
    """
    now = time.time()
    if row.deadline is None or row.deadline > now:
        return False
    asked_last = max((row.stand_ins or {}).values(), default=row.started)
    return asked_last <= max(row.deadline, now - (row.deadline - row.started))


def missing_stand_ins(session: Session, task: Task, row: Round, seen_since: float) -> list[str]:
    """Who is to be asked in the places of others in an open round; in the order of its ranking.

    Args:
        seen_since: devices that were last seen before this are lost, in seconds since 1970.
    """
    if row.selected is None:
        return []
    return stand_ins(
        task,
        row.number,
        candidates(session, task.name, seen_since),
        Chosen(row.selected, row.quorum),
        senders(session, row),
        is_given_up=is_given_up(row),
    )


def ask_stand_ins(session: Session, task: Task, row: Round, seen_since: float) -> None:
    """Note that an open round asks others in the places of those that are lost, if some are."""
    if names := missing_stand_ins(session, task, row, seen_since):
        note_stand_ins(row, names)
        text = f"round {row.number} asks {', '.join(names)} in the places of others"
        record(session, "devices_asked", text, task=task.name)


def note_stand_ins(row: Round, names: list[str]) -> None:
    """Note that a round that has chosen whom it asks asks these too, from now on."""
    new = set(names) - set(row.selected or ())
    row.selected = sorted({*(row.selected or ()), *names})
    row.stand_ins = {**(row.stand_ins or {}), **dict.fromkeys(sorted(new), time.time())} or None


def is_time_to_open(
    session: Session,
    task: Task,
    former: Round | None,
    model: Version,
    seen_since: float,
    patience: float,
) -> bool:
    """Whether a round may open because its devices ask for it.

    The first one waits ``patience`` seconds for as many as it is to ask: they are just starting.

    Args:
        former: the round before.
        model: the version it starts from.
    """
    if former is not None or not selects(task.rounds) or model.created <= time.time() - patience:
        return True
    settings = task.rounds
    if settings.number is None:
        return False
    asks = max(settings.number, task.needed_updates) + settings.over_selection
    return _ready(candidates(session, task.name, seen_since), task) >= asks


def _ready(known: Mapping[str, Candidate], task: Task) -> int:
    return sum(known[name].is_ready for name in awake(known, 1, task.needed_updates))
