"""Rounds and the updates that came in."""

import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from sqlalchemy import select

from main_server import rounds as rules
from main_server.arrivals import NoSteps
from main_server.checked import Checked
from main_server.step_results import measured
from main_server.store.candidates import Presence
from main_server.store.evaluations import (
    FederatedEvaluation,
    federated_evaluations,
    note_evaluation,
)
from main_server.store.norms import note_norm
from main_server.store.places import ask_stand_ins
from main_server.store.rests import note_round_over
from main_server.store.round_reads import RoundReads
from main_server.store.round_rows import newest_round, open_round, received_before, senders
from main_server.store.round_steps import note_update
from main_server.store.strategy_rows import in_use, note_strategy, note_updates_are_through
from main_server.store.tables import ReceivedUpdate, Round, Version
from main_server.store.versions import has_weights, newest_promoted, newest_version
from shared.federated.evaluation import DeviceEvaluation
from shared.federated.task import Task
from shared.federated.weights import move_durably
from shared.web.database import Database
from shared.web.events import record


class Rounds(RoundReads):
    """The rounds of all tasks.

    Args:
        directory: where the files of open rounds' updates lie.
        presence: who is there when a round opens; None: every device.
    """

    def __init__(
        self, database: Database, directory: Path, presence: Presence | None = None
    ) -> None:
        super().__init__(database)
        self._directory = directory
        self._presence = presence

    def open(self, task: Task, started: float) -> Round:
        """The open round; opened, as of ``started``, when there is none. Raises NoModelYet."""
        with self._database.write() as session:
            model = newest_version(session, task.name)
            return open_round(session, task, started, model, self._seen_since())

    def receive(self, task: Task, checked: Checked) -> int:
        """Count an update, whose file is checked and fsynced, to the open round.

        The same update again changes nothing, also when its round is over; another one of the
        same device that started from the same version replaces its first. A late one counts
        beside others of its device.

        Returns:
            The round's number.

        Raises:
            StaleUpdate, SchemaMismatch, WrongDevice, NoModelYet, NotAsked, RoundFull,
                OtherStrategy: nothing has changed.
        """
        header, device, size = checked.header, checked.device, checked.bytes
        with self._database.write() as session:
            before = received_before(session, task.name, device, checked.sha256)
            if before is not None:
                return before[0]
            model = newest_version(session, task.name)
            weight = rules.check_update(
                header,
                task=task,
                device=device,
                base_version=model.version,
                fingerprint=model.fingerprint,
                promoted=newest_promoted(session, task.name),
                base_is_kept=has_weights(session.get(Version, (task.name, header.base_version))),
            )
            checked.check_unpacked(model.version)
            rules.check_strategy(task, in_use(session, task))
            row = open_round(session, task, time.time(), model, self._seen_since())
            staleness = model.version - header.base_version
            is_late = staleness > 0
            if row.selected is not None and device not in row.selected and not is_late:
                ask_stand_ins(session, task, row, self._seen_since())
            rules.check_place(
                task,
                row.number,
                device,
                selected=row.selected,
                quorum=row.quorum,
                sent=senders(session, row) if row.quorum is not None else (),
                is_late=is_late,
            )
            former = session.get(ReceivedUpdate, (row.id, device, staleness))
            former_file = self.update_path(row, former) if former else None
            update = ReceivedUpdate(
                round_id=row.id,
                device=device,
                number=staleness,
                sha256=checked.sha256,
                num_samples=header.num_samples,
                metrics=dict(header.metrics),
                bytes=size,
                received=time.time(),
                base_version=header.base_version if is_late else None,
                weight=weight if is_late else None,
            )
            note_norm(session, task.name, update, checked.norm)
            move_durably(checked.file, self.update_path(row, update))
            session.merge(update)
            note_update(session, task.name, row.number, device, update, header.history)
            text = f"update of {device}, {header.num_samples} samples, {size} bytes"
            record(session, "update_received", text, task=task.name, device=device)
            number = row.number
        if former_file:
            former_file.unlink(missing_ok=True)
        return number

    def aggregate(
        self,
        task: Task,
        check: Callable[[Collection[str]], None],
        combine: Callable[[Task, Round, Sequence[ReceivedUpdate], Mapping[str, int]], Version],
        samples_of_unchanged: Mapping[str, int],
    ) -> Round:
        """Close the open round with the version that ``combine`` makes of its updates.

        An update that comes in meanwhile is acknowledged, so it has to count: then the
        updates are combined again.

        Args:
            check: raises TooFewUpdates, given the devices whose updates are here.
            combine: writes the version's file, durably, and returns its row; of the task with the
                strategy in use, of the updates, and of the devices that count with the version
                the round started from.
            samples_of_unchanged: these devices count so, each with its number of samples,
                unless an update of theirs is here, where the strategy knows such a thing.

        Raises:
            NoSteps: the task is asynchronous.
        """
        if task.mode == "async":
            raise NoSteps(f"{task.name} is asynchronous: its updates are combined as they arrive.")
        while True:
            with self._database.read() as session:
                row, goes_by = newest_round(session, task.name), in_use(session, task)
            updates = row.updates if row is not None and row.status == rules.OPEN else []
            check([update.device for update in updates])
            if row is None or not updates:
                raise rules.TooFewUpdates("There is no update. Run modeltrain and sendmodel first.")
            sent = {update.device for update in updates}
            counted = samples_of_unchanged if goes_by.rule.counts_unchanged else {}
            unchanged = {name: number for name, number in counted.items() if name not in sent}
            try:
                version = combine(goes_by, row, updates, unchanged)
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
                note_strategy(now, goes_by)  # it may have been begun in another mode
                note_updates_are_through(session, task.name)
                now.status = rules.AGGREGATED
                now.unchanged = dict(unchanged) or None
                now.finished = time.time()
                note_round_over(session, task, now, self._seen_since())
                record(session, "version_made", _made(now), task=task.name)
                session.flush()
                return now

    def _seen_since(self) -> float:
        return self._presence.since() if self._presence else 0.0

    def _are_outdated(self, row: Round, updates: Sequence[ReceivedUpdate]) -> bool:
        """Whether one of a round's updates has been replaced meanwhile, and its file with it."""
        with self._database.read() as session:
            return _hashes(session.get_one(Round, row.id).updates) != _hashes(updates)

    def mark_distributed(
        self, task: str, version: int, evaluations: Mapping[str, DeviceEvaluation]
    ) -> FederatedEvaluation | None:
        """Note that at least one device has installed the version of a round.

        Args:
            evaluations: by device, how well it did there.

        Returns:
            The version's federated evaluation, with those that came before.
        """
        query = select(Round).where(Round.task == task, Round.version == version)
        with self._database.write() as session:
            for device, evaluation in evaluations.items():
                note_evaluation(session, task, version, device, evaluation)
            row = session.scalar(query)
            if row is not None and row.status == rules.AGGREGATED:
                row.status = rules.DISTRIBUTED
                row.finished = time.time()
            session.flush()
            federated = federated_evaluations(session, task, [version]).get(version)
            if federated is not None and evaluations:
                text = measured(version, federated)
                record(session, "version_measured", text, task=task)
        return federated

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


def _made(row: Round) -> str:
    text = f"round {row.number}: version {row.version} of {len(row.updates)} updates"
    if not row.unchanged:
        return text
    return f"{text}; {', '.join(row.unchanged)} as before, {sum(row.unchanged.values())} pictures"


def _hashes(updates: Sequence[ReceivedUpdate]) -> list[tuple[str, str]]:
    return sorted((update.device, update.sha256) for update in updates)
