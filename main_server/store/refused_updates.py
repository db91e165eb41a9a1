"""Updates that came and do not count: the log tells of them, and each round of its own."""

from typing import Any

from sqlalchemy import select

from main_server.store.tables import Round
from shared.errors import FedbellError
from shared.web.database import Database
from shared.web.events import Event, record

_KIND = "update_refused"
#: So many of a round are told, the newest.
_MOST = 100


def note_refused(database: Database, task: str, device: str, error: FedbellError) -> None:
    """Note that an update came too late, was not asked for, or found its round full."""
    with database.write(durable=False) as session:
        told = f"{error.title}: {error.detail}"
        record(session, _KIND, told, task=task, device=device)


def refused_in(database: Database, row: Round, until: float | None) -> list[dict[str, Any]]:
    """What was refused while a round was the newest, as far as the log goes back.

    Args:
        until: when the round after it began, in seconds since 1970; None: it is the newest.

    Returns:
        device, time, detail of each; newest first.
    """
    query = select(Event.device, Event.time, Event.message).where(
        Event.kind == _KIND, Event.task == row.task, Event.time >= row.started
    )
    if until is not None:
        query = query.where(Event.time < until)
    with database.read() as session:
        found = session.execute(query.order_by(Event.id.desc()).limit(_MOST)).all()
    return [{"device": device, "time": time, "detail": detail} for device, time, detail in found]
