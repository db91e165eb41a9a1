"""The steps of a round, as a device takes them: train, send, install. Each runs as a job."""

import math
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from shared.device.main_server_client import MainServer
from shared.device.models import GlobalModels
from shared.device.remote import RemoteProblem
from shared.device.settings import DeviceSettings
from shared.device.starts import Offline, Start, Starts
from shared.device.store import NothingToSend, Store
from shared.device.tables import InstalledModel, PendingUpdate
from shared.device.trainer_process import Trainer
from shared.device.turns import Turns
from shared.device.uploads import Uploads
from shared.federated.task import Task, TrainingSettings
from shared.web.jobs import JobControl


class Steps:
    """What the three buttons do. Of one task, one step that changes its model runs at a time."""

    def __init__(
        self,
        settings: DeviceSettings,
        store: Store,
        main_server: MainServer,
        trainer: Trainer,
        models: GlobalModels,
        uploads: Uploads,
    ) -> None:
        self._settings = settings
        self._store = store
        self._main_server = main_server
        self._trainer = trainer
        self._models = models
        self._uploads = uploads
        self._starts = Starts(store, models)
        self._sent_at: dict[str, float] = {}
        self.turns = Turns(settings.device_name)

    def train(
        self,
        task: Task,
        choice: dict[str, Any],
        control: JobControl,
        by_itself: bool = False,
        offline: Offline | None = None,
    ) -> dict[str, Any]:
        """Train the newest global model on this device's own pictures.

        Args:
            task: what to train.
            choice: TrainingSettings that differ from the task's.
            by_itself: train on upload began it.
            offline: the schedule began it, and may do this while the main server is away.

        Returns:
            What ``modeltrain`` answers. The result is the task's pending update.

        Raises:
            StepRunning: as every step of this class does.
        """
        started = time.monotonic()
        with self.turns.take(task.name, "modeltrain", control):
            federation = self._store.federation() or ""
            start = self._starts.choose(task, control, offline)
            task = self._store.goes_by(task)  # which may have been told with the version
            version = start.version
            self._ask_once_more(task, start)
            settings = TrainingSettings(**task.training.model_dump() | choice)
            file, keeps = (self._store.new_file("updates", task.name) for _ in range(2))
            kept = self._store.kept_for(task, version, goes_on=start.base == "own")
            sequence = self._store.next_sequence(task.name)
            asked = time.time()  # what is labelled anew from here on is not marked
            new = self._uploads.untrained(task)
            uploaded = self._uploads.for_trainer(task)
            trained = self._trainer.call(
                "train",
                control,
                task=task.model_dump(mode="json"),
                pictures=str(self._settings.pictures(task.name)),
                uploaded=uploaded,
                files={
                    "start": str(start.file),
                    "base": str(start.base_file),
                    "update": str(file),
                    "keeps": str(keeps),
                    "kept": kept,
                    "start_kept": str(start.start_kept) if start.start_kept else None,
                    "sent": str(start.sent) if start.sent else None,
                },
                settings=settings.model_dump(),
                seed=_seed(task, self._settings.device_name, start, sequence),
                header={
                    "device": self._settings.device_name,
                    "base_version": version,
                    "base_sha256": start.sha256,
                    "sequence": sequence,
                },
            )
            result = {
                "task": task.name,
                "base_version": version,
                "base": start.base,
                **({"reservation": start.reservation} if start.reservation else {}),
                "strategy": task.strategy,
                **settings.model_dump(),
                "num_samples": trained["num_samples"],
                "history": trained["history"],
                "evaluation": trained["evaluation"],
                "skipped": len(trained["skipped"]),
                "seconds": round(time.monotonic() - started, 3),
            }
            row = PendingUpdate(
                task=task.name,
                base_version=version,
                num_samples=trained["num_samples"],
                metrics=trained["metrics"],
                file=file.name,
                kept=Path(kept).name if kept else None,
                keeps=keeps.name if keeps.exists() else None,
                result=result
                | {"unreadable": trained["skipped"], "trainings": start.trainings + 1},
                trained=time.time(),
                on_its_way=None,
                answer=None,
            )
            self._store.keep_update(row, federation, new, by_itself, sequence)
            had = [str(row[2]) for rows in uploaded.values() for row in rows]
            self._uploads.mark_trained(task, had, asked)
        return result

    def send(self, task: Task, round_number: int | None, control: JobControl) -> dict[str, Any]:
        """Send the pending update to the main server; sent already, the same answer again.

        Args:
            round_number: the round it is meant for; None: the one that is open.

        Raises:
            NothingToSend: nothing is trained, or it counts in another round.
            MainServerAway, MainServerFailed: the update stays.
            RemoteProblem: the main server refused it, stale-update say.
        """
        with (
            self.turns.take(task.name, "sendmodel", control),
            self._store.open_update(task.name) as (row, file),
        ):
            if row.answer is None:
                return self._send(row, file)
            counts_in = row.answer["round"]
            installed = self._store.installed(task.name)
            is_over = installed is not None and installed.version > row.base_version
            if is_over if round_number is None else round_number != counts_in:
                raise NothingToSend(
                    f"The last update of {task.name} counts in round {counts_in}. For another "
                    f"round, train again first: POST /modeltrain?task={task.name}"
                )
            return row.answer

    def _send(self, row: PendingUpdate, file: BinaryIO) -> dict[str, Any]:
        self._store.keep_on_its_way(row, True)
        try:
            answer = self._main_server.send(row.task, file)
        except RemoteProblem as error:
            if error.is_about_the_content:  # otherwise nobody knows whether it counts
                self._store.keep_on_its_way(row, False)
            raise
        finally:
            self._sent_at[row.task] = time.monotonic()
        self._store.sent(row, answer)
        return answer

    def _ask_once_more(self, task: Task, start: Start) -> None:
        """Before a training from another version: send an update again whose answer was lost.

        Whether it counted decides what the training begins with, see :meth:`Store.kept_for`. The
        same update counts once. Where nothing hangs on that, it does not matter.

        Raises:
            MainServerAway, MainServerFailed, RemoteProblem: it is not known yet; nothing is lost.
        """
        row = self._store.pending(task.name)
        if row is None or row.answer is not None or not row.on_its_way:
            return
        if not (task.rule.keeps or task.compression.method == "top_k"):
            return
        if start.base != "newest":  # it is away; or the update is trained on, and goes with that
            return
        if row.base_version == start.version and task.mode == "sync":
            return  # the training makes an update that takes its place
        with self._store.open_update(task.name) as (pending, file):
            try:
                self._send(pending, file)
            except RemoteProblem as error:
                if not error.is_about_the_content:
                    raise

    def sent_at(self, task: str) -> float:
        """When the main server was sent an update last, as ``time.monotonic()``."""
        return self._sent_at.get(task, -math.inf)

    def install(self, task: Task, version: int | None, control: JobControl) -> dict[str, Any]:
        """Fetch a version (None: the newest), install it, measure it on own test pictures.

        Without a readable test picture it is installed all the same; the answer's
        ``evaluation`` is None then, and ``reservation`` says why.

        Raises:
            What GlobalModels.fetch raises: nothing has changed.
        """
        with self.turns.take(task.name, "aggmodel", control):
            return self.install_in_turn(task, version, control)

    def install_in_turn(
        self, task: Task, version: int | None, control: JobControl
    ) -> dict[str, Any]:
        """:meth:`install` for a caller whose turn it is."""
        model = self._store.installed(task.name)
        if model is None or version is None or model.version != version:
            model = self._models.fetch(task, version, control)
        if model.evaluation is None:
            model = self._evaluate(task, model, control)
        reservation = (
            f"Version {model.version} is installed, but could not be measured: {model.problem}"
            if model.problem
            else None
        )
        return {
            "task": task.name,
            "version": model.version,
            "installed": True,
            "evaluation": model.evaluation,
            **({"reservation": reservation} if reservation else {}),
            "skipped": len(self._store.unreadable(task.name)),
        }

    def _evaluate(self, task: Task, model: InstalledModel, control: JobControl) -> InstalledModel:
        """Measure an installed model, and keep what comes of it."""
        try:
            answer = self._trainer.call(
                "evaluate",
                control,
                task=task.model_dump(mode="json"),
                pictures=str(self._settings.pictures(task.name)),
                uploaded=self._uploads.for_trainer(task),
                weights=str(self._store.model_file(model)),
                kept=self._store.kept_for(task, model.version),
            )
        except RemoteProblem as error:
            answer = {"evaluation": None, "problem": error.detail, "skipped": []}
        self._store.evaluated(task.name, model.version, answer)
        model.evaluation, model.problem = answer["evaluation"], answer["problem"]
        return model


def _seed(task: Task, device: str, start: Start, sequence: int) -> int:
    """Of the order of pictures: the same when this training is repeated, and only then.

    In a synchronous task a device has one update of a version, in an asynchronous one many.
    """
    trained_on = f"+{start.trainings}" if start.trainings else ""
    which = f"#{sequence}" if task.mode == "async" else f"{start.version}{trained_on}"
    digest = sha256(f"{task.seed}/{device}/{which}".encode()).digest()
    return int.from_bytes(digest[:4]) >> 1
