"""A main server where people have to log in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apiflask import APIFlask

from main_server import create_app
from main_server.settings import MainServerSettings
from tests.main_server.conftest import TASKS

ADMIN = "operators-token-0123456789"
VIEWER = "viewers-token-9876543210"


@pytest.fixture
def make_app(tmp_path: Path) -> Callable[..., APIFlask]:
    """Another process of the main server, as it were: an app on the same state."""
    tasks = tmp_path / "tasks.toml"
    tasks.write_text(TASKS)

    def make(**settings: Any) -> APIFlask:
        told: dict[str, Any] = {"first_version_seconds": 0} | settings
        told |= {"state_directory": tmp_path / "state", "tasks_file": tasks}
        return create_app(MainServerSettings(**told))

    return make


@pytest.fixture
def app(make_app: Callable[..., APIFlask]) -> APIFlask:
    """One with tokens of both roles."""
    return make_app(admin_token=ADMIN, viewer_token=VIEWER)


@pytest.fixture
def open_app(make_app: Callable[..., APIFlask]) -> APIFlask:
    """One without."""
    return make_app()
