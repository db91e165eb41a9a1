"""Updates of asynchronous tasks: counted one after the other, each with what it made."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from main_server import rounds as rules
from main_server.checked import Checked
from main_server.store.norms import note_norm
from main_server.store.round_rows import newest_round, received_before
from main_server.store.round_steps import note_update
from main_server.store.rounds import Rounds
from main_server.store.tables import ReceivedUpdate, Round, Version
from main_server.store.versions import newest_promoted, newest_version
from shared.federated.task import Task
from shared.federated.weights import move_durably
from shared.web.database import Database
from shared.web.events import record


@dataclass(frozen=True)
class Moment:
    """What an update meets when it is its turn.

    Attributes:
        newest: the newest version.
        promoted: the newest version that is an older one again; None: there is none.
        round: the open round; None: there is none.
        buffer: its updates, in the order they arrived.
    """

    newest: Version
    promoted: int | None
    round: Round | None
    buffer: Sequence[ReceivedUpdate]

    @property
    def identity(self) -> tuple[int, int | None, tuple[str, ...]]:
        """Equal for moments between which nothing has happened."""
        number = self.round.number if self.round else None
        return self.newest.version, number, tuple(each.sha256 for each in self.buffer)


class Arrivals:
    """The updates of asynchronous tasks. For callers who have the task's turn."""

    def __init__(self, database: Database, rounds: Rounds) -> None:
        self._database = database
        self._rounds = rounds

    def counted(self, task: str, checked: Checked) -> int | None:
        """The number of the round that counts this very update, if one does."""
        with self._database.read() as session:
            before = received_before(session, task, checked.device, checked.sha256)
            return None if before is None else before[0]

    def moment(self, task: str) -> Moment:
        """How things are. Raises NoModelYet."""
        with self._database.read() as session:
            return _moment(session, task)

    def made_of(self, task: str, version: int) -> tuple[int, int] | None:
        """How many samples were trained on for one version, and which one that started from.

        Returns:
            None: no round made it.
        """
        query = (
            select(func.coalesce(func.sum(ReceivedUpdate.num_samples), 0), Round.base_version)
            .join(Round, Round.id == ReceivedUpdate.round_id)
            .where(Round.task == task, Round.version == version)
            .group_by(Round.base_version)
        )
        with self._database.read() as session:
            found = session.execute(query).first()
        return (int(found[0]), int(found[1])) if found else None

    def count(
        self,
        task: Task,
        met: Moment,
        checked: Checked,
        staleness: int,
        weight: float,
        version: Version | None,
    ) -> int | None:
        """Count an update, with the version it makes, in one transaction.

        Args:
            met: the moment that ``version`` was made of.
            weight: by how much it counts for its staleness.
            version: its file in place; None: the update waits in the buffer, its file is moved
                there.

        Returns:
            The number of its round; None when that moment is over, and nothing has changed.
        """
        with self._database.write() as session:
            now = _moment(session, task.name)
            if now.identity != met.identity:
                return None
            row = now.round or _opened(session, task.name, now.newest.version)
            row.strategy = task.asynchronous.rule
            update = ReceivedUpdate(
                round_id=row.id,
                device=checked.device,
                number=1 + max((each.number for each in now.buffer), default=0),
                sha256=checked.sha256,
                num_samples=checked.header.num_samples,
                metrics=dict(checked.header.metrics),
                bytes=checked.bytes,
                received=time.time(),
                base_version=checked.header.base_version,
                weight=weight,
            )
            note_norm(session, task.name, update, checked.norm)
            if version is None:
                move_durably(checked.file, self._rounds.update_path(row, update))
            session.add(update)
            history = checked.header.history
            note_update(session, task.name, row.number, checked.device, update, history)
            came = (
                f"an update of {checked.device}, {update.num_samples} samples, "
                f"staleness {staleness}"
            )
            place = len(now.buffer) + 1
            if version is None:
                kind, text = "update_received", f"{came}: number {place} in the buffer"
            else:
                session.add(version)
                row.version, row.status = version.version, rules.DISTRIBUTED
                row.finished = time.time()
                others = f" and {place - 1} before it" if place > 1 else ""
                kind, text = "version_made", f"version {version.version}, of {came}{others}"
            record(session, kind, text, task=task.name, device=checked.device)
            return row.number


def _moment(session: Session, task: str) -> Moment:
    newest = newest_version(session, task)
    row = newest_round(session, task)
    if row is not None and row.status != rules.OPEN:
        row = None
    updates = sorted(row.updates, key=lambda each: (each.number, each.device)) if row else []
    return Moment(newest, newest_promoted(session, task), row, updates)


def _opened(session: Session, task: str, base_version: int) -> Round:
    """A round of an asynchronous task: it begins with its first update."""
    before = newest_round(session, task, with_updates=False)
    row = Round(
        task=task,
        number=before.number + 1 if before is not None else 1,
        status=rules.OPEN,
        strategy="",
        base_version=base_version,
        started=time.time(),
        updates=[],
    )
    session.add(row)
    session.flush()
    return row
