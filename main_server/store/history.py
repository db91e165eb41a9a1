"""What plots show of many rounds: light queries, for rows would be too many."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import select

from main_server.store.evaluations import FederatedEvaluation, federated_evaluations
from main_server.store.tables import Evaluation, ReceivedUpdate, Round, Version
from shared.web.database import Database


class Made(NamedTuple):
    """A round by its number, and the version it made."""

    number: int
    version: int


@dataclass(frozen=True)
class PastRound:
    """A line of the table of rounds: see :class:`~main_server.store.tables.Round`.

    Attributes:
        updates: by device, of how many samples each of its updates is.
        bytes_received: of all of them.
    """

    number: int
    status: str
    strategy: str
    parameters: dict[str, Any] | None
    base_version: int
    version: int | None
    started: float
    finished: float | None
    unchanged: dict[str, int]
    updates: dict[str, list[int]]
    bytes_received: int


class History:
    """The past of all tasks.

    Args:
        database: the main server's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, task: str, limit: int, before: int | None) -> list[PastRound]:
        """Rounds, newest first; with ``before``, only those of lower number."""
        told = ("number", "status", "strategy", "parameters", "base_version", "version")
        names = (*told, "started", "finished")
        columns = [getattr(Round, name) for name in names]
        query = select(Round.id, Round.unchanged, *columns).where(Round.task == task)
        if before is not None:
            query = query.where(Round.number < before)
        sent = select(
            ReceivedUpdate.round_id,
            ReceivedUpdate.device,
            ReceivedUpdate.num_samples,
            ReceivedUpdate.bytes,
        ).order_by(ReceivedUpdate.device, ReceivedUpdate.number)
        with self._database.read() as session:
            rows = session.execute(query.order_by(Round.number.desc()).limit(limit)).all()
            updates = session.execute(
                sent.where(ReceivedUpdate.round_id.in_([row.id for row in rows]))
            ).all()
        samples: dict[int, dict[str, list[int]]] = defaultdict(dict)
        received: dict[int, int] = defaultdict(int)
        for number, device, num_samples, size in updates:
            samples[number].setdefault(device, []).append(num_samples)
            received[number] += size
        return [
            PastRound(
                **{name: getattr(row, name) for name in names},
                unchanged=row.unchanged or {},
                updates=samples[row.id],
                bytes_received=received[row.id],
            )
            for row in rows
        ]

    def made(self, task: str) -> list[Made]:
        """All rounds that made a version, oldest first."""
        query = (
            select(Round.number, Round.version)
            .where(Round.task == task, Round.version.is_not(None))
            .order_by(Round.number)
        )
        with self._database.read() as session:
            return [
                Made(number, version)
                for number, version in session.execute(query)
                if version is not None
            ]

    def federated(self, task: str, versions: Sequence[int]) -> dict[int, FederatedEvaluation]:
        """The federated evaluation of each of ``versions`` that a device has measured."""
        with self._database.read() as session:
            return federated_evaluations(session, task, versions)

    def of_devices(
        self, task: str, versions: Collection[int], devices: Collection[str] | None = None
    ) -> dict[str, dict[int, tuple[float, float]]]:
        """Accuracy and loss by device and version; of ``devices`` only, unless None."""
        query = select(
            Evaluation.device, Evaluation.version, Evaluation.accuracy, Evaluation.loss
        ).where(Evaluation.task == task, Evaluation.version.in_(versions))
        if devices is not None:
            query = query.where(Evaluation.device.in_(devices))
        told: dict[str, dict[int, tuple[float, float]]] = {}
        with self._database.read() as session:
            for device, version, accuracy, loss in session.execute(
                query.order_by(Evaluation.device)
            ):
                told.setdefault(device, {})[version] = (accuracy, loss)
        return told

    def promoted(
        self, task: str, since: float | None = None, until: float | None = None
    ) -> list[Version]:
        """The versions that are older ones again, newest first; made in a span of time."""
        query = select(Version).where(Version.task == task, Version.promoted_from.is_not(None))
        if since is not None:
            query = query.where(Version.created >= since)
        if until is not None:
            query = query.where(Version.created < until)
        with self._database.read() as session:
            return [*session.scalars(query.order_by(Version.version.desc()))]

    def pruned(self, task: str, versions: Collection[int]) -> frozenset[int]:
        """Those of ``versions`` whose weights are no longer kept."""
        query = select(Version.version).where(
            Version.task == task, Version.version.in_(versions), Version.pruned.is_not(None)
        )
        with self._database.read() as session:
            return frozenset(session.scalars(query))
