"""All parts of one device, put together."""

import atexit

from shared.device.auto_train import AutoTrain
from shared.device.heartbeat import Heartbeat
from shared.device.main_server_client import MainServer
from shared.device.models import GlobalModels
from shared.device.overview import Overview
from shared.device.schedule_loop import ScheduleLoop
from shared.device.settings import DeviceSettings
from shared.device.steps import Steps
from shared.device.store import Store
from shared.device.token_rotation import OwnTokens
from shared.device.trainer_process import TRAINER_MODULE, Trainer
from shared.device.uploads import Uploads
from shared.errors import ConfigurationError
from shared.web.job_calls import Calls
from shared.web.jobs import Jobs
from shared.web.locks import try_lock


class Device:
    """One device; one process has it at a time.

    Args:
        settings: the device's own.
        trainer_module: what its trainer runs.

    Raises:
        ConfigurationError: another process has it.
    """

    def __init__(self, settings: DeviceSettings, trainer_module: str = TRAINER_MODULE) -> None:
        self.settings = settings
        # Before anything is read: the store tidies up what it takes for leftovers.
        self._lock = try_lock(settings.state_directory / "device.lock")
        if self._lock is None:
            raise ConfigurationError(
                f"another process of {settings.device_name} has {settings.state_directory}. "
                "WORKERS must be 1 for a device; if it is, stop the other server."
            )
        self.store = Store(settings.state_directory, settings.device_name)
        self.uploads = Uploads(settings, self.store.database)
        self.trainer = Trainer(settings, trainer_module)
        self.tokens = OwnTokens(settings.state_directory)
        self.main_server = MainServer(settings, self.store.token(), self.tokens, settings.tls())
        self.models = GlobalModels(self.store, self.main_server, self.trainer)
        self.jobs = Jobs(self.store.database, settings.state_directory / "processes")
        self.calls = Calls(self.jobs)
        self.steps = Steps(
            settings, self.store, self.main_server, self.trainer, self.models, self.uploads
        )
        self.auto_train = AutoTrain(
            settings,
            self.store,
            self.uploads,
            self.main_server,
            self.steps,
            self.jobs,
            lambda: self.heartbeat.wake(only_news=True),
        )
        self.schedule = ScheduleLoop(
            settings,
            self.store,
            self.uploads,
            self.main_server,
            self.steps,
            self.jobs,
            lambda: self.heartbeat.heard,
            lambda: self.heartbeat.wake(only_news=True),
        )
        self.overview = Overview(
            settings,
            self.store,
            self.main_server,
            self.trainer,
            self.models,
            self.jobs,
            self.steps.turns,
            self.uploads,
            self.auto_train,
            self.schedule,
        )
        self.heartbeat = Heartbeat(
            self.store, self.main_server, self.models, self.steps, self.jobs, self.overview
        )

    def start(self) -> None:
        """Start the trainer, which loads TensorFlow meanwhile, and what goes on by itself."""
        self.trainer.start()
        atexit.register(self.trainer.stop)
        self.heartbeat.start()
        self.auto_train.start()
        self.schedule.start()

    def pictures_changed(self, task: str) -> None:
        """Pictures of ``task`` came, went or were labelled: tell of it, and train if told to."""
        self.heartbeat.pictures_changed()
        self.auto_train.wake(task)
