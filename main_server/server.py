"""All parts of one main server, put together."""

import secrets
import time
from collections.abc import Mapping

from sqlalchemy import func, select

from main_server.asking import Asking
from main_server.asynchronous import Asynchronous
from main_server.auto_aggregate import AutoAggregate
from main_server.fleet import Fleet
from main_server.models import Models
from main_server.settings import MainServerSettings, read_tasks
from main_server.single_steps import SingleSteps
from main_server.steps import Steps
from main_server.store.arrivals import Arrivals
from main_server.store.candidates import Presence
from main_server.store.devices import Devices
from main_server.store.opening import open_store, sqlite_url
from main_server.store.pruning import Pruning
from main_server.store.round_ends import settle_rounds
from main_server.store.round_steps import RoundSteps
from main_server.store.rounds import Rounds
from main_server.store.strategies import Strategies
from main_server.store.tables import Federation, ReceivedUpdate, Round
from main_server.store.versions import Versions
from main_server.telling import Telling
from main_server.turns import Turns
from main_server.uploads import Uploads
from main_server.whole_rounds import WholeRounds
from shared.errors import ConfigurationError, FedbellError
from shared.federated.task import Task
from shared.web.health import Metrics
from shared.web.job_calls import Calls
from shared.web.jobs import Jobs
from shared.web.problems import NotFound


class DeviceOnline(FedbellError):
    """A device that is there cannot be forgotten: somebody else could then take its name."""

    status = 409
    title = "The device is online"


class MainServer:
    """The store, the files and the steps of one main server; several processes may share them."""

    def __init__(self, settings: MainServerSettings) -> None:
        self.settings = settings
        #: As tasks.toml has them: another strategy may be in use by now.
        self._configured = read_tasks(settings.tasks_file)
        directory = settings.state_directory
        self.database = open_store(settings.secret("database_url") or sqlite_url(directory))
        self.federation = self._federation()
        self.devices = Devices(self.database, settings.join_secret(), settings.device_hosts.split())
        self.versions = Versions(self.database, directory / "models")
        self.strategies = Strategies(self.database, self.versions)
        try:
            self.versions.check_networks(self._configured.values())
            self.strategies.configure(self._configured.values())
        except ConfigurationError:
            self.database.close()
            raise
        self.presence = Presence(self.database, settings.lost_after_seconds)
        self.rounds = Rounds(self.database, directory / "updates", self.presence)
        settle_rounds(self.database, self._configured)
        self.rounds.remove_files_of_closed()
        self.uploads = Uploads(directory / "incoming", settings.most_upload_bytes)
        turns = Turns(directory / "locks")
        self.pruning = Pruning(self.database, self.versions)
        self.pruning.remove_leftovers(self._configured, directory / "models")
        self.pruning.look_again(self._configured)
        self.models = Models(
            self.versions,
            self.rounds,
            self.pruning,
            turns,
            directory / "incoming",
            self.federation,
        )
        self.arrivals = Arrivals(self.database, self.rounds)
        self.asynchronous = Asynchronous(
            self.versions, self.rounds, self.arrivals, self.models, self.pruning, turns
        )
        self.jobs = Jobs(self.database, directory / "processes")
        self.round_steps = RoundSteps(self.database, self._job_runs)
        self.asking = Asking(self.database, self.presence, self.round_steps)
        self.telling = Telling(
            self.database, self.presence, self.asking, settings.heartbeat_seconds
        )
        single = SingleSteps(
            settings,
            self.devices,
            self.versions,
            self.rounds,
            self.round_steps,
            self.models,
            Fleet(settings.tls()),
            self.asking,
            self.strategies,
        )
        whole_rounds = WholeRounds(self.rounds, self.round_steps, single)
        self.steps = Steps(settings, self.devices, self.versions, single, whole_rounds)
        self.auto_aggregate = AutoAggregate(
            self.rounds, self.steps, self.strategies, self.jobs, settings.lost_after_seconds
        )
        self.auto_aggregate.start(self._configured.values())
        self.database.before_closing(self.auto_aggregate.stop)
        self.calls = Calls(self.jobs)

    @property
    def task_names(self) -> list[str]:
        """The names of all tasks, in the order of tasks.toml."""
        return list(self._configured)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """All tasks, each with the strategy in use: one look into the store."""
        return self.strategies.in_use(self._configured)

    def task(self, name: str | None) -> Task:
        """The task of that name, with the strategy in use; the first one for None.

        Raises:
            NotFound
        """
        chosen = self.task_names[0] if name is None else name
        if chosen not in self._configured:
            raise NotFound(f"There is no task {name}. There are: {', '.join(self._configured)}.")
        return self.strategies.of(self._configured[chosen])

    def forget(self, name: str) -> None:
        """Remove a lost device, so that it may enrol anew, or one whose token was revoked.

        Raises:
            DeviceOnline, NotFound
        """
        rows = {device.name: device for device in self.devices.all()}
        row = rows.get(name)
        if row and row.revoked is None and self.is_online(row.last_seen):
            seconds = self.settings.lost_after_seconds
            raise DeviceOnline(
                f"{name} is online: it was seen within the last {seconds:g} s. Stop it, if it is "
                "still the old one, and try again when that time is over."
            )
        self.devices.forget(name)

    def is_online(self, last_seen: float) -> bool:
        """Whether a device was seen within its last three heartbeats."""
        return time.time() - last_seen < self.settings.lost_after_seconds

    def metrics(self) -> Metrics:
        """The numbers of ``/metrics``, read from the store."""
        devices = self.devices.all()
        newest = self.versions.newest_numbers()
        with self.database.read() as session:
            rounds = dict(
                session.execute(select(Round.task, func.count()).group_by(Round.task)).all()
            )
            received = dict(
                session.execute(
                    select(Round.task, func.sum(ReceivedUpdate.bytes))
                    .join(ReceivedUpdate, ReceivedUpdate.round_id == Round.id)
                    .group_by(Round.task)
                ).all()
            )
        online = sum(self.is_online(device.last_seen) for device in devices)
        return {
            "fedbell_devices": ("Enrolled devices", {"": len(devices)}),
            "fedbell_devices_online": ("Devices seen within three heartbeats", {"": online}),
            "fedbell_rounds": ("Rounds begun", rounds),
            "fedbell_received_bytes": ("Bytes of counted updates", received),
            "fedbell_version": (
                "Newest version of the global model",
                {task: version for task, (version, _) in newest.items()},
            ),
        }

    def _job_runs(self, job: str) -> bool:
        try:
            return self.jobs.get(job).status == "running"
        except NotFound:  # it is long over: old jobs are forgotten
            return False

    def _federation(self) -> str:
        with self.database.write() as session:
            row = session.scalar(select(Federation))
            if row is None:
                row = Federation(id=secrets.token_hex(16))
                session.add(row)
            return row.id
