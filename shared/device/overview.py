"""How this device is: for GET /status, its page, its heartbeat and its metrics."""

from typing import Any

from shared.device import pictures
from shared.device.auto_train import AutoTrain
from shared.device.main_server_client import MainServer
from shared.device.models import GlobalModels
from shared.device.progress import activity, with_times
from shared.device.schedule_loop import ScheduleLoop
from shared.device.settings import DeviceSettings
from shared.device.store import Store
from shared.device.tables import InstalledModel, KnownTask, PendingUpdate
from shared.device.trainer_process import Trainer
from shared.device.turns import Turns
from shared.device.uploads import Uploads
from shared.federated.task import Task
from shared.web.health import Metrics
from shared.web.jobs import Job, Jobs

#: The main server takes no longer sentences.
_LONGEST_SENTENCE = 2000
_JOBS_LOOKED_AT = 20


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
        turns: Turns,
        uploads: Uploads,
        auto_train: AutoTrain,
        schedule: ScheduleLoop,
    ) -> None:
        self._settings = settings
        self._store = store
        self._main_server = main_server
        self._trainer = trainer
        self._models = models
        self._jobs = jobs
        self._turns = turns
        self._uploads = uploads
        self._auto_train = auto_train
        self._schedule = schedule
        #: Why the main server does not take the heartbeat, if it answers and does not.
        self.refusal: str | None = None

    def status(self) -> dict[str, Any]:
        """What ``GET /status`` answers."""
        reachability = self._main_server.reachability
        rows = self._store.tasks()
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
            "tasks": {row.name: self._task(row) for row in rows},
            "limits": self._settings.limits,
            "gone_pictures": self._gone_pictures([row.name for row in rows]),
        }

    def heartbeat(self) -> dict[str, Any]:
        """What ``POST /clientstatus`` tells the main server: numbers, never a picture."""
        tasks = {}
        for row in self._store.tasks():
            task = row.task
            installed = self._store.installed(task.name)
            tasks[task.name] = {
                "num_samples": self.counts(task)["train"],
                "version": installed.version if installed else None,
                "evaluation": _evaluation(installed),
                # The first keeps a device from taking part, the second does not.
                "problem": _shortened(self.hindrance(task)),
                "reservation": _shortened(installed.problem if installed else None),
            }
            if at := activity(self._turns.running(task.name)):
                tasks[task.name]["activity"] = at.model_dump()
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
        return pictures.by_split(self.classes(task))

    def classes(self, task: Task) -> dict[str, dict[str, int]]:
        """Pictures of a task, by class and split, those of its folder and uploaded ones."""
        directory = self._settings.pictures(task.name)
        return pictures.by_class(directory, task, self._uploads.counts(task))

    def hindrance(self, task: Task) -> str | None:
        """Why a task cannot work on this device now, and what to do; None: it can."""
        directory = self._settings.pictures(task.name)
        return self._models.problems.get(task.name) or pictures.problem(
            directory, task, self._uploads.counts(task)
        )

    def _gone_pictures(self, tasks: list[str]) -> dict[str, int]:
        # Before the main server has told its tasks, none is known to be gone.
        return self._uploads.of_gone_tasks(tasks) if self._store.federation() else {}

    def _task(self, row: KnownTask) -> dict[str, Any]:
        task = row.task
        installed = self._store.installed(task.name)
        jobs = self._jobs.recent(task.name, limit=_JOBS_LOOKED_AT)
        running = [_running(job) for job in jobs if job.status == "running"]
        classes = self.classes(task)
        hindrance = self.hindrance(task)
        return {
            "num_samples": pictures.by_split(classes),
            "classes": classes,
            "uploads": {
                "total": self._uploads.total(task),
                "unlabelled": self._uploads.unlabelled(task),
                "untrained": self._uploads.untrained(task),
                "bytes": self._uploads.bytes,  # of all tasks together, as its limit is
            },
            "auto_train": self._auto_train.is_on(task.name),
            "auto_train_problem": self._auto_train.problems.get(task.name),
            "schedule": self._schedule.status(row),
            "version": installed.version if installed else None,
            "evaluation": _evaluation(installed),
            "pending": _pending(self._store.pending(task.name)),
            "job": running[0] if running else None,
            "last_job": _last(jobs),
            "problem": hindrance or (installed.problem if installed else None),
            "can_train": hindrance is None,
            "skipped": self._store.unreadable(task.name),
        }


def _evaluation(installed: InstalledModel | None) -> dict[str, Any] | None:
    if installed is None or installed.evaluation is None:
        return None
    return {"version": installed.version, **installed.evaluation}


def _shortened(sentence: str | None) -> str | None:
    return sentence and sentence[:_LONGEST_SENTENCE]


def _running(job: Job) -> dict[str, Any]:
    """A job that runs, how long it has been and may yet be."""
    progress = job.progress and with_times(job.progress, job.started)
    return job.as_json() | {"progress": progress}


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
    """The job to tell of: what it was, how it ended, and if it failed, why.

    The one that ended last; but a device that fetches a version by itself makes nothing good
    of what failed before.
    """
    ended = sorted(
        (job for job in jobs if job.finished is not None), key=lambda job: job.finished or 0
    )
    if not ended:
        return None
    told = [job for job in ended if (job.kind, job.status) != ("aggmodel", "done")]
    job = told[-1] if told and told[-1].status == "failed" else ended[-1]
    names = ("id", "kind", "status", "finished", "problem")
    return {name: getattr(job, name) for name in names}
