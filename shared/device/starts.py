"""What a training of a device starts from: the newest version, or while it cannot be had, what is
here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.device.connection import MainServerAway, MainServerFailed
from shared.device.model_file import sha256_of
from shared.device.models import GlobalModels
from shared.device.offline import offline_start
from shared.device.store import Store
from shared.device.tables import InstalledModel, PendingUpdate
from shared.federated.task import Task
from shared.federated.weights import open_arrays
from shared.web.jobs import JobControl

_TRAINED_ON = "The last update could not be sent: it was trained on, and goes with this one."


@dataclass(frozen=True)
class Start:
    """Weights to train from.

    Attributes:
        version: the global one that they come from, and the SHA-256 of its file, if known.
        base: newest; installed or own, for the main server was away. ``reservation`` says so then.
        trainings: how many they have seen since that no acknowledged update holds.
    """

    version: int
    sha256: str | None
    file: Path
    base: Literal["newest", "installed", "own"]
    reservation: str | None = None
    trainings: int = 0


@dataclass(frozen=True)
class Offline:
    """What a device that trains by itself may do while the main server is away.

    Attributes:
        own: the file of the last update, whose weights may be trained on; None: it was refused, or
            there is none.
        is_unsent: it could not be sent just now, so nothing is pulled.
        answered: the version that the last answered update started from; None: none was.
    """

    own: str | None
    is_unsent: bool
    answered: int | None


class Starts:
    """Chooses what a training starts from."""

    def __init__(self, store: Store, models: GlobalModels) -> None:
        self._store = store
        self._models = models

    def choose(self, task: Task, control: JobControl, offline: Offline | None) -> Start:
        """The newest version; while the main server is away, see ``offline``.

        Args:
            offline: None: somebody asked for the training, and gets it from the installed version.

        Raises:
            MainServerAway: and there is nothing here that could be trained on.
            What GlobalModels.fetch raises else.
        """
        own = self._own(task, offline.own) if offline else None
        if own and offline and offline.is_unsent and own.answer is None:
            return self._from_own(own, _TRAINED_ON)
        away = (MainServerAway, MainServerFailed) if offline else (MainServerAway,)
        base = self._models.newest(task, control, away)
        if base.reservation is None:
            return self._from_installed(base.model, "newest", None)
        which: Literal["own", "pulled"] | None = "pulled"
        if offline:
            which = offline_start(
                task,
                own=own.base_version if own else None,
                is_acknowledged=own is not None and own.answer is not None,
                pulled=base.model.version,
                answered=offline.answered,
            )
        if which is None:
            raise MainServerAway(base.reservation)
        if which == "own" and own:
            return self._from_own(own, base.reservation)
        return self._from_installed(base.model, "installed", base.reservation)

    def _own(self, task: Task, file: str | None) -> PendingUpdate | None:
        """The last update, unless it is another one by now or a newer version is here."""
        row, installed = self._store.pending(task.name), self._store.installed(task.name)
        if row is None or row.file != file:
            return None
        return row if installed is None or installed.version <= row.base_version else None

    def _from_installed(
        self, model: InstalledModel, base: Literal["newest", "installed"], reservation: str | None
    ) -> Start:
        file = self._store.model_file(model)
        return Start(model.version, sha256_of(model.etag), file, base, reservation)

    def _from_own(self, row: PendingUpdate, reservation: str) -> Start:
        file = self._store.update_file(row)
        with open_arrays(file) as update:
            sha256 = update.metadata.get("base_sha256")
        counted = row.answer is not None
        trainings = 0 if counted else trainings_of(row)
        return Start(row.base_version, sha256, file, "own", reservation, trainings)


def trainings_of(row: PendingUpdate) -> int:
    """How many trainings an update holds, one after the other."""
    return int(row.result.get("trainings", 1))
