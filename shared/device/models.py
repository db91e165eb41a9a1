"""The global models of a device: fetched, checked, installed; the first one offered."""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.device.connection import MainServerAway
from shared.device.main_server_client import MainServer
from shared.device.model_file import UnfitModel, check_model, check_sent, sent_with
from shared.device.remote import RemoteProblem
from shared.device.store import Store
from shared.device.tables import InstalledModel
from shared.device.told_strategies import ToldStrategies
from shared.device.trainer_process import Trainer, TrainerDied
from shared.errors import FedbellError
from shared.federated.task import Task
from shared.federated.weights import move_durably
from shared.web.jobs import JobControl

#: What the main server's problem is when it has no version of a task.
_NO_MODEL = {"no-model-yet", "not-found"}


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """What the trainer says of a task's network: its fingerprint, its backbone's hash."""

    fingerprint: str
    backbone: str


@dataclass(frozen=True)
class Base:
    """A global model to train from, and why it may not be the newest; None: it is."""

    model: InstalledModel
    reservation: str | None


class GlobalModels:
    """The global model of each task on this device."""

    def __init__(self, store: Store, main_server: MainServer, trainer: Trainer) -> None:
        self._store = store
        self._main_server = main_server
        self._trainer = trainer
        self._lock = threading.Lock()
        self._prepared: dict[str, tuple[Any, Prepared]] = {}
        self._strategies = ToldStrategies(_log.warning)
        #: By task, why this device cannot build its network, offer its first version, or
        #: fetch what was distributed.
        self.problems: dict[str, str] = {}

    def prepare(self, task: Task, control: JobControl | None = None) -> Prepared:
        """Have the task's network built, unless it is.

        Raises:
            RemoteProblem: it cannot be: BackboneMissing, say.
            TrainerDied
        """
        definition = [task.network(), task.seed]
        with self._lock:
            known = self._prepared.get(task.name)
        if known and known[0] == definition:
            return known[1]
        try:
            answer = self._trainer.call("prepare", control, task=task.model_dump(mode="json"))
        except (RemoteProblem, TrainerDied) as error:
            self.problems[task.name] = error.detail
            raise
        prepared = Prepared(**answer)
        with self._lock:
            self._prepared[task.name] = (definition, prepared)
        self.problems.pop(task.name, None)
        return prepared

    def fetch(
        self, task: Task, version: int | None = None, control: JobControl | None = None
    ) -> InstalledModel:
        """Fetch a version (None: the newest) from the main server, check it and install it.

        The strategy that comes with it is the task's from then on, see :meth:`Tasks.goes_by`.

        Raises:
            MainServerAway, MainServerFailed, RemoteProblem: it did not come.
            UnfitModel: it is not what it should be; nothing has changed.
            FederationChanged
        """
        federation = self._store.federation() or ""
        prepared = self.prepare(task, control)
        before = self._usable(task, prepared)
        incoming = self._store.new_file("incoming", task.name)
        try:
            etag, strategy = self._main_server.download(
                task.name, version, before.etag if before else "", incoming
            )
            if told := self._strategies.read(task, strategy):
                self._store.take_strategy(told)
            if etag is None and before:
                return before
            number = self._check(incoming, task, version, prepared, federation)
            file = self._store.new_file("models", task.name)
            sent = self._fetch_sent(task, number, incoming)
            move_durably(incoming, file)
        finally:
            incoming.unlink(missing_ok=True)
        return self._store.install(task.name, number, file, etag or "", federation, sent)

    def _fetch_sent(self, task: Task, version: int, model: Path) -> Path | None:
        """Fetch what goes with a version for the task's strategy; None: nothing does.

        Args:
            model: the version's file, checked.
        """
        if sent_with(model) is None:
            return None
        incoming = self._store.new_file("incoming", task.name)
        try:
            self._main_server.download_sent(task.name, version, incoming)
            check_sent(incoming, task, model)
            file = self._store.new_file("models", task.name)
            move_durably(incoming, file)
        finally:
            incoming.unlink(missing_ok=True)
        return file

    def _usable(self, task: Task, prepared: Prepared) -> InstalledModel | None:
        """The installed model; None when there is none, or its file is damaged or gone."""
        installed = self._store.installed(task.name)
        if installed is not None:
            try:
                self._check(self._store.model_file(installed), task, installed.version, prepared)
            except (UnfitModel, FileNotFoundError) as error:
                _log.warning("the installed model is fetched anew: %s", error)
                return None
        return installed

    def offer_initial(self, task: Task, control: JobControl | None = None) -> None:
        """Offer this device's initial tail as version 0, which it is if there is none yet."""
        initial = self._store.new_file("incoming", task.name)
        definition = task.model_dump(mode="json")
        try:
            self._trainer.call("initial", control, task=definition, output=str(initial))
            self._main_server.offer(task.name, initial)
        finally:
            initial.unlink(missing_ok=True)

    def newest(
        self,
        task: Task,
        control: JobControl | None = None,
        away: tuple[type[FedbellError], ...] = (MainServerAway,),
    ) -> Base:
        """The main server's newest model, or while it is away the installed one.

        Args:
            away: what is raised then.

        Raises:
            MainServerAway: and nothing is installed.
            What :meth:`fetch` raises else.
        """
        try:
            return Base(self._fetch_or_offer(task, control), None)
        except away as error:
            installed = self._store.installed(task.name)
            if installed is None:
                raise
            file = self._store.model_file(installed)
            self._check(file, task, installed.version, self.prepare(task, control))
            return Base(installed, error.detail)

    def _fetch_or_offer(self, task: Task, control: JobControl | None) -> InstalledModel:
        try:
            return self.fetch(task, None, control)
        except RemoteProblem as error:
            if error.kind not in _NO_MODEL:
                raise
        self.offer_initial(task, control)
        return self.fetch(task, None, control)

    def _check(
        self,
        file: Path,
        task: Task,
        version: int | None,
        prepared: Prepared,
        federation: str | None = None,
    ) -> int:
        """See :func:`check_model`."""
        return check_model(file, task, version, prepared.fingerprint, prepared.backbone, federation)
