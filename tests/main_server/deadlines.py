"""Main servers whose rounds have an end, for tests."""

from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from main_server import create_app
from main_server.settings import MainServerSettings

from .stores import STORES

_TASKS = """
[tasks.digits]
classes = ["0", "1"]
seed = 7
min_updates = {min_updates}
{extra}

[tasks.digits.rounds]
{rounds}
"""


def open_server(
    directory: Path, rounds: str, min_updates: int = 1, extra: str = "", **settings: Any
) -> FlaskClient:
    """Another process of a main server, as it were, whose task digits has these ``rounds``."""
    tasks = directory / "tasks.toml"
    tasks.write_text(_TASKS.format(rounds=rounds, min_updates=min_updates, extra=extra))
    state = directory / "state"
    told: dict[str, Any] = {"first_version_seconds": 0} | settings
    told |= {"state_directory": state, "tasks_file": tasks, "database_url": STORES.address(state)}
    return STORES.end_with_the_test(create_app(MainServerSettings(**told))).test_client()
