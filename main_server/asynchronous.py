"""Asynchronous aggregation: an update that arrives is applied at once, within its request.

One update of a task at a time, over all processes: so the order in which they were accepted, and
the versions they started from, decide every version to the last bit. Killed at any moment an
update is either acknowledged and counted, or neither; then its device sends it again.
"""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from main_server.arrivals import check_arrival, no_aggregation, no_rounds
from main_server.checked import Checked, check_upload
from main_server.models import Models
from main_server.store.arrivals import Arrivals, Moment
from main_server.store.pruning import LOOK_EVERY, Pruning
from main_server.store.rounds import Rounds
from main_server.store.tables import Version
from main_server.store.versions import Versions, has_weights
from main_server.turns import Turns
from main_server.uploads import Upload
from shared.federated.aggregation import (
    ASYNCHRONOUS_STRATEGIES,
    NUM_SAMPLES,
    Arrival,
    AsynchronousStrategy,
    ServerState,
)
from shared.federated.task import Task
from shared.federated.update import Update
from shared.federated.weights import open_weights

_log = logging.getLogger(__name__)


class _Came(NamedTuple):
    """An update, as a version is made of it: by its file, and the version it started from."""

    device: str
    num_samples: int
    weight: float
    file: Path
    base_version: int


class Asynchronous:
    """Applies the updates of asynchronous tasks."""

    def __init__(
        self,
        versions: Versions,
        rounds: Rounds,
        arrivals: Arrivals,
        models: Models,
        pruning: Pruning,
        turns: Turns,
    ) -> None:
        self._versions = versions
        self._rounds = rounds
        self._arrivals = arrivals
        self._models = models
        self._pruning = pruning
        self._turns = turns

    def take_update(self, task: Task, upload: Upload, device: str) -> dict[str, Any]:
        """Apply an upload, the device's update, or put it into the buffer. The same one again
        changes nothing.

        Returns:
            The number of the round that counts it, the device, the number of samples, the
            update's bytes.

        Raises:
            UnreadableWeights, SchemaMismatch, NotFinite, BadHeader, StaleUpdate, OtherBase,
            WrongDevice, NoModelYet, TaskBusy: nothing has changed.
        """
        strategy = _strategy(task)
        # A file that waits in a buffer has to be on the disk; of one that is applied, the version.
        checked = check_upload(self._versions, task, upload, device, durable=strategy.is_buffered)
        size = checked.bytes
        with self._turns.take(task.name):
            number, version = self._apply(task, strategy, checked)
        if version is not None:
            self._tidy_up(task, strategy, version)
        samples = checked.header.num_samples
        return {"round": number, "device": device, "num_samples": samples, "bytes": size}

    def _tidy_up(self, task: Task, strategy: AsynchronousStrategy, version: int) -> None:
        """Delete files that are of no use any more. The update counts, whatever becomes of that."""
        try:
            if strategy.is_buffered:
                self._rounds.remove_files_of_closed()
            if version % LOOK_EVERY == 0:
                self._pruning.prune(task)
        except Exception:  # noqa: BLE001 - the next look may fare better
            _log.exception("tidying up after version %d of %s", version, task.name)

    def refuse_aggregation(self, task: Task) -> None:
        """Raise NoSteps where ``task`` is asynchronous: nothing waits for a button."""
        if task.mode == "async":
            waiting = len(self._arrivals.moment(task.name).buffer)
            raise no_aggregation(task, waiting, _strategy(task).needed(task.asynchronous))

    def refuse_rounds(self, task: Task) -> None:
        """Raise NoSteps where ``task`` is asynchronous: its rounds are not run."""
        if task.mode == "async":
            raise no_rounds(task)

    def _apply(
        self, task: Task, strategy: AsynchronousStrategy, checked: Checked
    ) -> tuple[int, int | None]:
        """The number of the round that counts an update, and the version made just now."""
        while True:
            before = self._arrivals.counted(task.name, checked)
            if before is not None:
                return before, None
            met = self._arrivals.moment(task.name)
            staleness = check_arrival(
                checked.header,
                task=task,
                device=checked.device,
                newest=met.newest.version,
                fingerprint=met.newest.fingerprint,
                promoted=met.promoted,
                base_is_kept=has_weights(
                    self._versions.find(task.name, checked.header.base_version)
                ),
            )
            checked.check_unpacked(met.newest.version)
            weight = strategy.weight(staleness, task.asynchronous)
            version = None
            if len(met.buffer) + 1 >= strategy.needed(task.asynchronous):
                version = self._next_version(task, strategy, met, checked, weight)
            number = self._arrivals.count(task, met, checked, staleness, weight, version)
            if number is not None:
                return number, version.version if version is not None else None

    def _next_version(
        self,
        task: Task,
        strategy: AsynchronousStrategy,
        met: Moment,
        checked: Checked,
        weight: float,
    ) -> Version:
        """The version that a buffer and one more update make; its file is in place."""
        newest = met.newest
        came = [
            _Came(
                each.device,
                each.num_samples,
                1.0 if each.weight is None else each.weight,
                self._rounds.update_path(met.round, each),
                met.round.base_version if each.base_version is None else each.base_version,
            )
            for each in met.buffer
            if met.round is not None
        ]
        header = checked.header
        came.append(
            _Came(checked.device, header.num_samples, weight, checked.file, header.base_version)
        )
        with ExitStack() as files:
            opened = {
                number: files.enter_context(open_weights(self._versions.path(row)))
                for number in sorted({newest.version, *(each.base_version for each in came)})
                for row in [self._versions.get(task.name, number)]
            }
            arrivals = [
                Arrival(
                    Update(
                        each.device,
                        each.num_samples,
                        files.enter_context(open_weights(each.file)),
                        each.weight,
                    ),
                    opened[each.base_version],
                )
                for each in came
            ]
            state = ServerState(opened[newest.version], self._kept(newest))
            made = strategy.next(state, arrivals, task.asynchronous)
            version, file = self._models.write(
                task, newest.version + 1, made.weights, newest.fingerprint, newest.backbone
            )
        version.state = dict(made.kept)
        version.released = True  # whoever pulls has it
        self._versions.adopt(version, file)
        return version

    def _kept(self, version: Version) -> dict[str, Any]:
        """What a version keeps besides its weights.

        Of one that was made before its task was asynchronous: the samples of the rounds that led
        to it, back to one that keeps something. What a promotion took back led to nothing.
        """
        row, samples = version, 0
        while row.state is None:
            if row.promoted_from is not None:
                before = row.promoted_from
            elif (made_of := self._arrivals.made_of(row.task, row.version)) is not None:
                samples += made_of[0]
                before = made_of[1]
            else:  # the first one
                return {NUM_SAMPLES: samples}
            row = self._versions.get(row.task, before)
        return row.state | {NUM_SAMPLES: row.state.get(NUM_SAMPLES, 0) + samples}


def _strategy(task: Task) -> AsynchronousStrategy:
    return ASYNCHRONOUS_STRATEGIES[task.asynchronous.rule]
