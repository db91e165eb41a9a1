"""Rounds, as they are looked at."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from main_server import rounds as rules
from main_server.store.evaluations import FederatedEvaluation, federated_evaluations
from main_server.store.round_rows import newest_round, received_before
from main_server.store.tables import Evaluation, ReceivedUpdate, Round
from main_server.store.versions import newest_version
from shared.web.database import Database


class RoundReads:
    """What is known of the rounds of all tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def received_before(
        self, task: str, device: str, sha256: str
    ) -> tuple[int, ReceivedUpdate] | None:
        """See :func:`~main_server.store.round_rows.received_before`."""
        with self._database.read() as session:
            return received_before(session, task, device, sha256)

    def number_to_come(self, task: str) -> int:
        """The open round's number, or the one that the next round will have.

        Raises:
            NoModelYet: there can be no round yet.
        """
        with self._database.read() as session:
            newest_version(session, task)
            row = newest_round(session, task, with_updates=False)
        if row is None:
            return 1
        return row.number if row.status == rules.OPEN else row.number + 1

    def number_of_version(self, task: str, version: int) -> int:
        """The number of the round that a version was made in; 0 for a promoted one."""
        query = select(Round.number).where(Round.task == task, Round.version == version)
        with self._database.read() as session:
            return session.scalar(query) or 0

    def newest(self, task: str) -> Round | None:
        """The newest round, whatever its status."""
        with self._database.read() as session:
            return newest_round(session, task)

    def get(self, task: str, number: int) -> Round | None:
        """One round."""
        query = select(Round).where(Round.task == task, Round.number == number)
        with self._database.read() as session:
            return session.scalar(query)

    def page(self, task: str, limit: int, before: int | None = None) -> list[Round]:
        """Rounds, newest first; with ``before``, only those of lower number."""
        query = select(Round).where(Round.task == task).order_by(Round.number.desc()).limit(limit)
        if before is not None:
            query = query.where(Round.number < before)
        with self._database.read() as session:
            return [*session.scalars(query)]

    def evaluations(
        self, task: str, versions: Sequence[int | None]
    ) -> Mapping[int, FederatedEvaluation]:
        """The federated evaluation of each of ``versions`` that a device has evaluated."""
        with self._database.read() as session:
            return federated_evaluations(session, task, versions)

    def device_evaluations(self, task: str, version: int) -> list[Evaluation]:
        """Each device's evaluation of one version, by device name."""
        query = (
            select(Evaluation)
            .where(Evaluation.task == task, Evaluation.version == version)
            .order_by(Evaluation.device)
        )
        with self._database.read() as session:
            return [*session.scalars(query)]
