"""All parts of one device, put together."""

import atexit

from shared.device.heartbeat import Heartbeat
from shared.device.main_server_client import MainServer
from shared.device.models import GlobalModels
from shared.device.overview import Overview
from shared.device.settings import DeviceSettings
from shared.device.steps import Steps
from shared.device.store import Store
from shared.device.trainer_process import Trainer
from shared.web.job_calls import Calls
from shared.web.jobs import Jobs


class Device:
    """One device; one process has it at a time.

    Args:
        settings: the device's own.
    """

    def __init__(self, settings: DeviceSettings) -> None:
        self.settings = settings
        self.store = Store(settings.state_directory, settings.device_name)
        self.trainer = Trainer(settings)
        self.main_server = MainServer(settings, self.store.token())
        self.models = GlobalModels(self.store, self.main_server, self.trainer)
        self.jobs = Jobs(self.store.database, settings.state_directory / "processes")
        self.calls = Calls(self.jobs)
        self.steps = Steps(settings, self.store, self.main_server, self.trainer, self.models)
        self.overview = Overview(
            settings, self.store, self.main_server, self.trainer, self.models, self.jobs
        )
        self.heartbeat = Heartbeat(
            self.store, self.main_server, self.models, self.steps, self.jobs, self.overview
        )

    def start(self) -> None:
        """Start the trainer, which loads TensorFlow meanwhile, and the heartbeat."""
        self.trainer.start()
        atexit.register(self.trainer.stop)
        self.heartbeat.start()
