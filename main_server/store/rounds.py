"""Rounds and the updates that came in."""

import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session, lazyload

from main_server import rounds as rules
from main_server.store.devices import note_evaluation
from main_server.store.tables import Evaluation, ReceivedUpdate, Round, Version
from main_server.store.versions import newest_version
from shared.federated.evaluation import DeviceEvaluation
from shared.federated.task import Task
from shared.federated.update import UpdateHeader
from shared.federated.weights import move_durably
from shared.web.database import Database
from shared.web.events import record


@dataclass(frozen=True)
class FederatedEvaluation:
    """The devices' evaluations of one version, averaged by their numbers of test samples."""

    accuracy: float
    loss: float
    num_samples: int

    def as_json(self) -> dict[str, float | int]:
        """Ready for JSON."""
        return {"accuracy": self.accuracy, "loss": self.loss, "num_samples": self.num_samples}


class Rounds:
    """The rounds of all tasks.

    Args:
        directory: where the files of open rounds' updates lie.
    """

    def __init__(self, database: Database, directory: Path) -> None:
        self._database = database
        self._directory = directory

    def open(self, task: Task, started: float) -> Round:
        """The open round; opened, as of ``started``, when there is none. Raises NoModelYet."""
        with self._database.write() as session:
            return _open(session, task, started, newest_version(session, task.name))

    def number_to_come(self, task: str) -> int:
        """The open round's number, or the one that the next round will have.

        Raises:
            NoModelYet: there can be no round yet.
        """
        with self._database.read() as session:
            newest_version(session, task)
            row = _newest(session, task, with_updates=False)
        if row is None:
            return 1
        return row.number if row.status == rules.OPEN else row.number + 1

    def receive(
        self, task: Task, header: UpdateHeader, device: str, file: Path, sha256: str
    ) -> tuple[int, int]:
        """Count an update, whose file is checked and fsynced, to the open round.

        The same update again changes nothing, also when its round is over; another one
        of the same device replaces its first.

        Returns:
            The round's number, and the update's bytes.

        Raises:
            StaleUpdate, SchemaMismatch, WrongDevice, NoModelYet: nothing has changed.
        """
        size = file.stat().st_size
        with self._database.write() as session:
            before = _received_before(session, task.name, device, sha256)
            if before is not None:
                return before, size
            model = newest_version(session, task.name)
            rules.check_update(
                header,
                task=task,
                device=device,
                base_version=model.version,
                fingerprint=model.fingerprint,
            )
            row = _open(session, task, time.time(), model)
            former = session.get(ReceivedUpdate, (row.id, device))
            former_file = self.update_path(row, former) if former else None
            update = ReceivedUpdate(
                round_id=row.id,
                device=device,
                sha256=sha256,
                num_samples=header.num_samples,
                metrics=dict(header.metrics),
                bytes=size,
                received=time.time(),
            )
            move_durably(file, self.update_path(row, update))
            session.merge(update)
            text = f"update of {device}, {header.num_samples} samples, {size} bytes"
            record(session, "update_received", text, task=task.name, device=device)
            number = row.number
        if former_file:
            former_file.unlink(missing_ok=True)
        return number, size

    def aggregate(
        self,
        task: Task,
        check: Callable[[Collection[str]], None],
        combine: Callable[[Round, Sequence[ReceivedUpdate]], Version],
    ) -> Round:
        """Close the open round with the version that ``combine`` makes of its updates.

        An update that comes in meanwhile is acknowledged, so it has to count: then the
        updates are combined again.

        Args:
            check: raises TooFewUpdates, given the devices whose updates are here.
            combine: writes the version's file, durably, and returns its row.
        """
        while True:
            with self._database.read() as session:
                row = _newest(session, task.name)
            updates = row.updates if row is not None and row.status == rules.OPEN else []
            check([update.device for update in updates])
            if row is None or not updates:
                raise rules.TooFewUpdates("There is no update. Run modeltrain and sendmodel first.")
            try:
                version = combine(row, updates)
            except FileNotFoundError:
                if not self._are_outdated(row, updates):
                    raise
                continue
            with self._database.write() as session:
                now = session.get_one(Round, row.id, with_for_update=True)
                if now.status != rules.OPEN or _hashes(now.updates) != _hashes(updates):
                    continue
                session.add(version)
                now.version = version.version
                now.status = rules.AGGREGATED
                now.finished = time.time()
                text = f"round {now.number}: version {version.version} of {len(updates)} updates"
                record(session, "version_made", text, task=task.name)
                session.flush()
                return now

    def _are_outdated(self, row: Round, updates: Sequence[ReceivedUpdate]) -> bool:
        """Whether one of a round's updates has been replaced meanwhile, and its file with it."""
        with self._database.read() as session:
            return _hashes(session.get_one(Round, row.id).updates) != _hashes(updates)

    def mark_distributed(
        self, task: str, version: int, evaluations: Mapping[str, DeviceEvaluation]
    ) -> None:
        """Note that at least one device has installed the version of a round.

        Args:
            evaluations: by device, how well it did there.
        """
        query = select(Round).where(Round.task == task, Round.version == version)
        with self._database.write() as session:
            for device, evaluation in evaluations.items():
                note_evaluation(session, task, version, device, evaluation)
            row = session.scalar(query)
            if row is not None and row.status == rules.AGGREGATED:
                row.status = rules.DISTRIBUTED
                row.finished = time.time()

    def newest(self, task: str) -> Round | None:
        """The newest round, whatever its status."""
        with self._database.read() as session:
            return _newest(session, task)

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
        weight = Evaluation.num_samples
        query = (
            select(
                Evaluation.version,
                func.sum(Evaluation.accuracy * weight),
                func.sum(Evaluation.loss * weight),
                func.sum(weight),
            )
            .where(Evaluation.task == task, Evaluation.version.in_(versions))
            .group_by(Evaluation.version)
        )
        with self._database.read() as session:
            return {
                version: FederatedEvaluation(accuracy / total, loss / total, total)
                for version, accuracy, loss, total in session.execute(query)
            }

    def device_evaluations(self, task: str, version: int) -> list[Evaluation]:
        """Each device's evaluation of one version, by device name."""
        query = (
            select(Evaluation)
            .where(Evaluation.task == task, Evaluation.version == version)
            .order_by(Evaluation.device)
        )
        with self._database.read() as session:
            return [*session.scalars(query)]

    def update_path(self, row: Round, update: ReceivedUpdate) -> Path:
        """Where the file of an update lies while its round is open."""
        name = f"{update.device}-{update.sha256[:16]}.safetensors"
        return self._directory / row.task / str(row.number) / name

    def remove_files_of_closed(self) -> None:
        """Delete the update files of rounds that are over: they have become a version.

        A folder of no round stays: another process may be about to commit its first update.
        """
        for folder in self._directory.glob("*/*"):
            row = self.get(folder.parent.name, int(folder.name))
            if row is not None and row.status != rules.OPEN:
                shutil.rmtree(folder, ignore_errors=True)


def _newest(session: Session, task: str, with_updates: bool = True) -> Round | None:
    query = select(Round).where(Round.task == task).order_by(Round.number.desc()).limit(1)
    return session.scalar(query if with_updates else query.options(lazyload(Round.updates)))


def _open(session: Session, task: Task, started: float, model: Version) -> Round:
    row = _newest(session, task.name, with_updates=False)
    if row is not None and row.status == rules.OPEN:
        return row
    number = row.number + 1 if row is not None else 1
    opened = Round(
        task=task.name,
        number=number,
        status=rules.OPEN,
        strategy=task.strategy,
        base_version=model.version,
        started=started,
        updates=[],
    )
    session.add(opened)
    record(session, "round_opened", f"round {number} from version {model.version}", task=task.name)
    session.flush()
    return opened


def _received_before(session: Session, task: str, device: str, sha256: str) -> int | None:
    query = (
        select(Round.number)
        .join(ReceivedUpdate, ReceivedUpdate.round_id == Round.id)
        .where(Round.task == task, ReceivedUpdate.device == device, ReceivedUpdate.sha256 == sha256)
    )
    return session.scalar(query)


def _hashes(updates: Sequence[ReceivedUpdate]) -> list[tuple[str, str]]:
    return sorted((update.device, update.sha256) for update in updates)
