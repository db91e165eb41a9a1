"""The main server: it keeps the global model and leads the rounds. It sees no picture."""

from apiflask import APIFlask

from main_server import (
    access_calls,
    device_calls,
    list_calls,
    refusals,
    step_calls,
    strategy_calls,
    version_calls,
)
from main_server.glance import glance
from main_server.pages import access, control, versions
from main_server.routes import ROUTES
from main_server.server import MainServer
from main_server.settings import MainServerSettings
from shared.web import events, health, job_calls, logs, retention
from shared.web.access import guard
from shared.web.access.people import People, bearer
from shared.web.app import create_base


def create_app(settings: MainServerSettings | None = None) -> APIFlask:
    """The main server as a Flask application.

    Args:
        settings: default: from the environment.

    Raises:
        ConfigurationError: a setting or tasks.toml is wrong; one line says which.
    """
    settings = settings or MainServerSettings.load()
    logs.configure("main_server")
    app = create_base(__name__, "Fedbell main server", settings)
    server = MainServer(settings)
    app.extensions["fedbell"] = server
    people = People(settings, server.database)
    guard.init_app(
        app,
        people,
        "main_server",
        ROUTES,
        is_device=lambda call: server.devices.tokens.find(bearer(call)) is not None,
    )
    refusals.init_app(app, server.devices.attempts)
    retention.init_app(app, server.database, settings.keep_events)
    for blueprint in (
        control.blueprint(server),
        versions.blueprint(server),
        access.blueprint(server, people),
        step_calls.blueprint(server),
        device_calls.blueprint(server),
        list_calls.blueprint(server),
        version_calls.blueprint(server),
        strategy_calls.blueprint(server),
        access_calls.blueprint(server),
        job_calls.blueprint(server.jobs),
        events.blueprint(server.database, glance(server)),
        health.blueprint(server.database, server.metrics),
    ):
        app.register_blueprint(blueprint)
    return app
