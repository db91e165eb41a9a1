"""The device as a Flask application."""

from pathlib import Path

from apiflask import APIFlask

from shared.device import api, pages, predict_calls
from shared.device.device import Device
from shared.device.routes import ROUTES
from shared.device.settings import DeviceSettings
from shared.device.trainer_process import TRAINER_MODULE
from shared.device.uploads import calls as upload_calls
from shared.device.uploads import gone_calls
from shared.device.used_calls import UsedCalls
from shared.web import events, health, job_calls, logs, retention
from shared.web.access import guard
from shared.web.access.call_proof import Proofs
from shared.web.access.people import People
from shared.web.app import create_base
from shared.web.job_control import running_work


def build(device_toml: Path, trainer_module: str = TRAINER_MODULE) -> APIFlask:
    """The application, its device started; ``app.extensions["fedbell"]`` is the device.

    Args:
        device_toml: its settings.
        trainer_module: what its trainer runs.

    Raises:
        ConfigurationError: one line that says what is wrong.
    """
    settings = DeviceSettings.load(device_toml)
    logs.configure(settings.device_name)
    app = create_base("shared.device", f"Fedbell {settings.device_name}", settings)
    device = Device(settings, trainer_module)
    app.extensions["fedbell"] = device
    guard.init_app(
        app,
        People(settings, device.store.database),
        settings.device_name,
        ROUTES,
        is_main_server=Proofs(device.tokens.hashes, UsedCalls(device.store.database).use),
    )
    retention.init_app(app, device.store.database, settings.keep_events)
    for blueprint in (
        pages.blueprint(device),
        api.blueprint(device),
        upload_calls.blueprint(device),
        gone_calls.blueprint(device),
        predict_calls.blueprint(device),
        job_calls.blueprint(device.jobs),
        events.blueprint(device.store.database, running_work),
        health.blueprint(device.store.database, device.overview.metrics),
    ):
        app.register_blueprint(blueprint)
    device.start()
    return app
