"""How far updates moved the weights: kept, and compared with those before."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from main_server.store.tables import ReceivedUpdate, Round
from shared.federated.change import COMPARED_NORMS, why_it_stands_out
from shared.web.events import record


def note_norm(session: Session, task: str, update: ReceivedUpdate, norm: float | None) -> None:
    """Note the norm of an update that is about to be added, and an event if it stands out.

    It counts all the same: whether somebody is to be kept out, people decide.
    """
    if norm is None:
        return
    update.norm = norm
    before = (
        select(ReceivedUpdate.norm)
        .join(Round, Round.id == ReceivedUpdate.round_id)
        .where(Round.task == task, ReceivedUpdate.norm.is_not(None))
        .order_by(Round.number.desc(), ReceivedUpdate.received.desc())
        .limit(COMPARED_NORMS)
    )
    others = [each for each in session.scalars(before) if each is not None]
    update.outlier = why_it_stands_out(norm, others)
    if update.outlier:
        text = f"an update of {update.device} stands out. {update.outlier}"
        record(session, "update_outlier", text, task=task, device=update.device)
