"""Making versions of the global model: the first from a device, the next by aggregation."""

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from main_server.checked import check_upload
from main_server.made_by import MadeBy, following, made_by
from main_server.memory import give_back_memory
from main_server.store.pruning import Pruning
from main_server.store.rounds import Rounds
from main_server.store.tables import ReceivedUpdate, Round, Version
from main_server.store.versions import Versions, pruned
from main_server.turns import Turns
from main_server.uploads import Upload
from shared.errors import FedbellError
from shared.federated.aggregation import Arrival, ServerState, Strategy
from shared.federated.aggregation.state_file import open_state, write_state
from shared.federated.names import check_array
from shared.federated.task import Task
from shared.federated.update import BadHeader, Update, UpdateHeader
from shared.federated.weights import (
    SchemaMismatch,
    Weights,
    apart,
    open_weights,
    part,
    write_weights,
)


class IsNewest(FedbellError):
    """The newest version cannot be gone back to."""

    status = 409
    title = "This is the newest version"


class Models:
    """Checks what devices send, and makes versions of it.

    Args:
        directory: for files that are being made; on the file system of the versions.
        federation: the federation's id, noted in each version's file.
    """

    def __init__(
        self,
        versions: Versions,
        rounds: Rounds,
        pruning: Pruning,
        turns: Turns,
        directory: Path,
        federation: str,
    ) -> None:
        self._versions = versions
        self._rounds = rounds
        self._pruning = pruning
        self._turns = turns
        self._directory = directory
        self._federation = federation

    def take_initial(self, task: Task, upload: Upload, device: str) -> bool:
        """Make an upload version 0 of ``task``, unless it has one; whether it was taken.

        The file is written anew, with the metadata that every version has.

        Raises:
            UnreadableWeights, SchemaMismatch, NotFinite, BadHeader
        """
        if self._versions.find(task.name, 0) is not None:
            return False
        with open_weights(upload.file) as offered:
            offered.check_finite()
            backbone = offered.metadata.get("backbone", "")
            if offered.metadata.get("task") != task.name:
                raise SchemaMismatch(f"The file is not of task {task.name}.")
            if not re.fullmatch(r"[0-9a-f]{64}", backbone):
                raise BadHeader("backbone: a SHA-256 in hex is missing.")
            for name in offered:
                check_array(name)
            fingerprint = offered.schema.fingerprint(backbone)
            if offered.metadata.get("fingerprint") != fingerprint:
                raise BadHeader("fingerprint: it is not that of these weights and backbone.")
            row, file = self.write(task, 0, offered, fingerprint, backbone)
        row.released = True
        try:
            return self._versions.add_initial(row, file, device)
        finally:
            file.unlink(missing_ok=True)

    def take_update(self, task: Task, upload: Upload, device: str) -> dict[str, Any]:
        """Count an upload as the device's update of the open round.

        Returns:
            The round's number, the device, the number of samples, the update's bytes.

        Raises:
            UnreadableWeights, SchemaMismatch, NotFinite, BadHeader, StaleUpdate, OtherBase,
            WrongDevice, NoModelYet: nothing has changed.
        """
        # First: what counts already stays so, whatever the strategy is by now.
        if before := self._rounds.received_before(task.name, device, upload.sha256):
            number, (samples, size) = before[0], (before[1].num_samples, before[1].bytes)
        else:
            checked = check_upload(self._versions, task, upload, device, durable=True)
            number, size = self._rounds.receive(task, checked), checked.bytes
            samples = checked.header.num_samples
        return {"round": number, "device": device, "num_samples": samples, "bytes": size}

    def aggregate(
        self,
        task: Task,
        row: Round,
        updates: Sequence[ReceivedUpdate],
        unchanged: Mapping[str, int],
        num_devices: int,
    ) -> Version:
        """Combine a round's updates; the new version's row, its files in place.

        Args:
            num_devices: how many take part in the task.
            unchanged: devices that count with the version the round started from, each with
                its number of samples. They weigh as one update of that version: so the average
                of all that was learned goes on, (a·server + b·device) / (a + b), and the
                pictures of one device do not wipe out what the others have taught.
        """
        rule, base = task.rule, self._versions.get(task.name, row.base_version)
        newest = self._versions.newest(task.name)
        with ExitStack() as files:
            numbers = {base.version, *(_base_of(row, update) for update in updates)}
            bases = {
                number: files.enter_context(
                    open_weights(self._versions.path(self._versions.get(task.name, number)))
                )
                for number in sorted(numbers)
            }
            weights = bases[base.version]
            arrivals = [
                Arrival(
                    _opened(files, self._rounds.update_path(row, update), update),
                    bases[_base_of(row, update)],
                )
                for update in updates
            ]
            if unchanged:
                shared = part(weights, [name for name in weights if not rule.stays(name)])
                arrivals.append(Arrival(Update("", sum(unchanged.values()), shared), weights))
            state = ServerState(weights, slots=self._slots(files, rule, base))
            made = rule.next(state, arrivals, num_devices)
            version, file, slots = self._write_made(task, newest.version + 1, made, base)
        self._versions.adopt(version, file, slots)
        give_back_memory()
        return version

    def _slots(self, files: ExitStack, rule: Strategy, base: Version) -> Mapping[str, Weights]:
        """What a strategy keeps of a version; nothing where another one made it."""
        before = made_by(base)
        if before is None or before.strategy != rule.name or before.slots is None:
            return {}
        return files.enter_context(open_state(self._versions.slots_path(base)))

    def _write_made(
        self, task: Task, number: int, made: ServerState, base: Version
    ) -> tuple[Version, Path, Path | None]:
        """What a strategy has made: a version's row, its file and that of its slots, durably."""
        told, slots = following(task.rule, base), None
        if made.slots:
            slots = self._directory / f"{uuid.uuid4().hex}.part"
            told = told.model_copy(update={"slots": write_state(slots, made)})
        version, file = self.write(
            task, number, made.weights, base.fingerprint, base.backbone, told
        )
        return version, file, slots

    def promote(self, task: Task, number: int) -> Version:
        """Make a new version with the weights of version ``number``, and send it out.

        For callers who hold the task's step lock.

        Raises:
            NotFound, NoModelYet, IsNewest, VersionPruned, TaskBusy: nothing has changed.
        """
        with self._turns.take(task.name):
            return self._promote(task, number)

    def prune(self, task: Task) -> None:
        """Delete the files of versions that the task's settings do not keep."""
        self._pruning.prune(task)

    def _promote(self, task: Task, number: int) -> Version:
        newest = self._versions.newest(task.name)
        source = self._versions.get(task.name, number)
        if source.version == newest.version:
            raise IsNewest(
                f"Version {number} is the newest one of {task.name}: the next round starts from "
                "it already."
            )
        try:
            told, slots = made_by(source), None
            if told is not None and told.is_shared_with_devices:
                # What devices keep has gone on meanwhile: both begin anew.
                told = told.model_copy(update={"began": newest.version + 1, "slots": None})
            if told is not None and told.slots is not None:
                slots = self._directory / f"{uuid.uuid4().hex}.part"
                with open_weights(self._versions.slots_path(source)) as kept:
                    write_weights(slots, kept)
            with open_weights(self._versions.path(source)) as weights:
                number = newest.version + 1
                row, file = self.write(
                    task, number, weights, source.fingerprint, source.backbone, told
                )
        except FileNotFoundError:  # pruned just now
            raise pruned(source) from None
        row.promoted_from = source.version
        row.state = source.state
        row.released = True  # it is as good as sent: devices that are there fetch it by themselves
        try:
            self._versions.add_promoted(row, file, slots)
        finally:
            file.unlink(missing_ok=True)
            if slots is not None:
                slots.unlink(missing_ok=True)
        self._rounds.remove_files_of_closed()
        return row

    def write(
        self,
        task: Task,
        number: int,
        weights: Weights,
        fingerprint: str,
        backbone: str,
        told: MadeBy | None = None,
    ) -> tuple[Version, Path]:
        """A version's row, and its file, durably under a temporary name.

        Args:
            told: which strategy made it; None: none did.
        """
        metadata = {
            "task": task.name,
            "version": str(number),
            "fingerprint": fingerprint,
            "backbone": backbone,
            "federation": self._federation,
            **(told.metadata() if told else {}),
        }
        file = self._directory / f"{uuid.uuid4().hex}.part"
        sha256 = write_weights(file, weights, metadata)
        row = Version(
            task=task.name,
            version=number,
            sha256=sha256,
            fingerprint=fingerprint,
            backbone=backbone,
            network=task.network(),
            made_by=told.model_dump(mode="json") if told else None,
            bytes=file.stat().st_size,
            created=time.time(),
            released=False,
        )
        return row, file


def _base_of(row: Round, update: ReceivedUpdate) -> int:
    """The version that an update started from."""
    return row.base_version if update.base_version is None else update.base_version


def _opened(files: ExitStack, path: Path, row: ReceivedUpdate) -> Update:
    """An update as it is combined, read from its file as long as that is open."""
    file = files.enter_context(open_weights(path))
    weights, carried = apart(file)
    told = UpdateHeader.parse(file.metadata).told
    weight = 1.0 if row.weight is None else row.weight
    # The number of an update in a round is how stale it is.
    return Update(row.device, row.num_samples, weights, weight, told, carried, row.number)
