"""What has arrived at asynchronous tasks, as pages show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from main_server import rounds as rules
from main_server.store.round_rows import newest_round
from main_server.store.tables import ReceivedUpdate, Round, Version
from shared.web.database import Database

#: How far back one looks for how many versions are made.
VERSIONS_LOOKED_AT = 100


@dataclass(frozen=True)
class Counted:
    """An update that counts, as lists show it.

    Attributes:
        round: the number of its round; ``version``: what that made, None while it waits.
        base_version: that it started from.
        staleness: how many versions newer the newest was when it came.
    """

    round: int
    version: int | None
    device: str
    base_version: int
    staleness: int
    weight: float
    num_samples: int
    norm: float | None
    outlier: str | None
    received: float


@dataclass(frozen=True)
class Overview:
    """What pages show of an asynchronous task.

    Attributes:
        newest: the newest updates, newest first.
        made: when the newest versions were made by updates, newest first.
        waiting: how many updates wait in the buffer.
        state: what the newest version keeps besides its weights; None: nothing.
    """

    newest: Sequence[Counted]
    made: Sequence[float]
    waiting: int
    state: dict[str, Any] | None


def overview(database: Database, task: str, limit: int) -> Overview:
    """The newest updates, at most ``limit``, and what has become of them."""
    query = (
        select(Round.number, Round.version, Round.base_version, ReceivedUpdate)
        .join(Round, Round.id == ReceivedUpdate.round_id)
        .where(Round.task == task)
        .order_by(Round.number.desc(), ReceivedUpdate.number.desc())
        .limit(limit)
    )
    made = (
        select(Version.created)
        .where(Version.task == task, Version.version > 0)
        .order_by(Version.version.desc())
        .limit(VERSIONS_LOOKED_AT)
    )
    state = (
        select(Version.state).where(Version.task == task).order_by(Version.version.desc()).limit(1)
    )
    with database.read() as session:
        row = newest_round(session, task)
        return Overview(
            newest=[_counted(*each) for each in session.execute(query)],
            made=[*session.scalars(made)],
            waiting=len(row.updates) if row is not None and row.status == rules.OPEN else 0,
            state=session.scalar(state),
        )


def _counted(number: int, version: int | None, start: int, row: ReceivedUpdate) -> Counted:
    base = start if row.base_version is None else row.base_version
    return Counted(
        round=number,
        version=version,
        device=row.device,
        base_version=base,
        staleness=start - base,
        weight=1.0 if row.weight is None else row.weight,
        num_samples=row.num_samples,
        norm=row.norm,
        outlier=row.outlier,
        received=row.received,
    )
