"""How this device is: for GET /status, its page, its heartbeat and its metrics."""

from typing import Any

from shared.device import pictures
from shared.device.main_server_client import MainServer
from shared.device.models import GlobalModels
from shared.device.settings import DeviceSettings
from shared.device.store import Store
from shared.device.tables import InstalledModel, PendingUpdate
from shared.device.trainer_process import Trainer
from shared.federated.task import Task
from shared.web.health import Metrics
from shared.web.jobs import Job, Jobs

#: The main server takes no longer sentences.
_LONGEST_PROBLEM = 2000


class Overview:
    """Reads the parts of a device; changes none."""

    def __init__(
        self,
        settings: DeviceSettings,
        store: Store,
        main_server: MainServer,
        trainer: Trainer,
        models: GlobalModels,
        jobs: Jobs,
    ) -> None:
        self._settings = settings
        self._store = store
        self._main_server = main_server
        self._trainer = trainer
        self._models = models
        self._jobs = jobs
        #: Why the main server does not take the heartbeat, if it answers and does not.
        self.refusal: str | None = None

    def status(self) -> dict[str, Any]:
        """What ``GET /status`` answers."""
        reachability = self._main_server.reachability
        return {
            "device": self._settings.device_name,
            "url": self._settings.device_url,
            "main_server": {
                "url": self._main_server.url,
                "page_url": self._settings.main_server_page_url or self._main_server.url,
                "reachable": reachability.reachable,
                "since": reachability.since,
                "problem": reachability.problem or self.refusal,
            },
            "federation": self._store.federation(),
            "trainer": {"state": self._trainer.state, "pid": self._trainer.pid},
            "tasks": {row.name: self._task(row.task) for row in self._store.tasks()},
        }

    def heartbeat(self) -> dict[str, Any]:
        """What ``POST /clientstatus`` tells the main server: numbers, never a picture."""
        tasks = {}
        for row in self._store.tasks():
            task = row.task
            installed = self._store.installed(task.name)
            problem = self.problem(task, installed)
            tasks[task.name] = {
                "num_samples": self.counts(task)["train"],
                "version": installed.version if installed else None,
                "evaluation": _evaluation(installed),
                "problem": problem[:_LONGEST_PROBLEM] if problem else None,
            }
        return {
            "device": self._settings.device_name,
            "url": self._settings.device_url,
            "page_url": self._settings.page_url or self._settings.device_url,
            "tasks": tasks,
        }

    def metrics(self) -> Metrics:
        """What ``GET /metrics`` tells."""
        rows = self._store.tasks()
        installed = {row.name: self._store.installed(row.name) for row in rows}
        return {
            "fedbell_device_train_pictures": (
                "Pictures to train on",
                {row.name: self.counts(row.task)["train"] for row in rows},
            ),
            "fedbell_device_version": (
                "Version of the installed global model",
                {name: model.version for name, model in installed.items() if model},
            ),
            "fedbell_device_accuracy": (
                "Accuracy of the installed model on the device's own test pictures",
                {
                    name: model.evaluation["accuracy"]
                    for name, model in installed.items()
                    if model and model.evaluation
                },
            ),
            "fedbell_device_main_server_reachable": (
                "Whether the last call reached the main server",
                {"": float(self._main_server.reachability.reachable is True)},
            ),
        }

    def counts(self, task: Task) -> dict[str, int]:
        """Pictures of a task, by split."""
        return pictures.counts(self._settings.pictures(task.name), task)

    def hindrance(self, task: Task) -> str | None:
        """Why a task cannot work on this device now, and what to do; None: it can."""
        return self._models.problems.get(task.name) or pictures.problem(
            self._settings.pictures(task.name), task
        )

    def problem(self, task: Task, installed: InstalledModel | None) -> str | None:
        """What people should know: a hindrance, or why the model could not be measured."""
        return self.hindrance(task) or (installed.problem if installed else None)

    def _task(self, task: Task) -> dict[str, Any]:
        installed = self._store.installed(task.name)
        jobs = self._jobs.recent(task.name, limit=5)
        running = [job.as_json() for job in jobs if job.status == "running"]
        return {
            "num_samples": self.counts(task),
            "version": installed.version if installed else None,
            "evaluation": _evaluation(installed),
            "pending": _pending(self._store.pending(task.name)),
            "job": running[0] if running else None,
            "last_job": _last(jobs),
            "problem": self.problem(task, installed),
            "can_train": self.hindrance(task) is None,
            "skipped": self._store.unreadable(task.name),
        }


def _evaluation(installed: InstalledModel | None) -> dict[str, Any] | None:
    if installed is None or installed.evaluation is None:
        return None
    return {"version": installed.version, **installed.evaluation}


def _pending(row: PendingUpdate | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "base_version": row.base_version,
        "num_samples": row.num_samples,
        "metrics": row.metrics,
        "trained": row.trained,
        "sent": row.answer is not None,
    }


def _last(jobs: list[Job]) -> dict[str, Any] | None:
    """The job that ended last: what it was, how it ended, and if it failed, why."""
    ended = [job for job in jobs if job.finished is not None]
    if not ended:
        return None
    job = max(ended, key=lambda job: job.finished or 0)
    names = ("id", "kind", "status", "finished", "problem")
    return {name: getattr(job, name) for name in names}
