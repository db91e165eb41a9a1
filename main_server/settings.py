"""What the main server can be told: environment variables, and tasks.toml."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from shared.errors import ConfigurationError
from shared.federated.task import Task, TrainingSettings
from shared.web.access.tls import client_context
from shared.web.settings import ServerSettings, check_length, explain, read_toml


class MainServerSettings(ServerSettings):
    """Settings of the main server; each field is an environment variable in capitals."""

    state_directory: Path = Path("state/main_server")
    #: The tasks of this federation.
    tasks_file: Path = Path(__file__).with_name("tasks.toml")
    #: The store's address, such as postgresql://user:password@host:5432/name; empty: it is
    #: a file of SQLite in state_directory.
    database_url: str = Field(default="", repr=False)
    #: A file that holds database_url instead, for container secrets.
    database_url_file: Path | None = None
    #: Hosts, separated by spaces, that a device may give as its own although its calls
    #: come from another address (it sits behind a proxy, say).
    device_hosts: str = ""
    #: The authority that signed the devices' certificates (PEM), when it is one's own.
    device_authority: Path | None = None
    heartbeat_seconds: float = Field(default=5, gt=0, le=3600)
    #: How long a device may take to train.
    training_timeout_seconds: float = Field(default=6 * 3600, gt=0)
    #: How long a device may take for any other step.
    step_timeout_seconds: float = Field(default=600, gt=0)
    #: How long modeltrain waits for the first version while devices are starting.
    first_version_seconds: float = Field(default=60, ge=0)
    #: The largest update or version taken.
    most_upload_bytes: int = Field(default=512 * 1024 * 1024, gt=0)

    def join_secret(self) -> str:
        """The join token, wherever it was set; empty when enrolment is open.

        Raises:
            ConfigurationError: it is too short to be safe, or its file cannot be read.
        """
        token = super().join_secret()
        check_length("JOIN_TOKEN", token)
        return token

    def tls(self) -> ssl.SSLContext | None:
        """How devices are called over TLS; None: as any other server is.

        Raises:
            ConfigurationError: a file cannot be used.
        """
        return client_context(
            self.device_authority, self.tls_client_certificate, self.tls_client_key
        )

    @property
    def lost_after_seconds(self) -> float:
        """A device that was not seen for so long is lost: three heartbeats."""
        return 3 * self.heartbeat_seconds


def read_tasks(file: Path) -> Mapping[str, Task]:
    """The tasks of tasks.toml, in its order.

    Raises:
        ConfigurationError: one line that names the task, the key and what is wrong.
    """
    content = read_toml(file)
    unknown = sorted(content.keys() - {"tasks"})
    if unknown:
        raise ConfigurationError(
            f"{file}: unknown key {unknown[0]!r}; tasks stand in [tasks.NAME]."
        )
    tables: Any = content.get("tasks")
    if not isinstance(tables, dict) or not tables:
        raise ConfigurationError(f"{file}: there is no task; add a table [tasks.NAME].")
    return {name: _task(file, name, table) for name, table in tables.items()}


def _task(file: Path, name: str, table: Any) -> Task:
    if not isinstance(table, dict) or "name" in table:
        raise ConfigurationError(f"{file}: tasks.{name} is a table, its name stands in its head.")
    try:
        return Task(name=name, **table)
    except ValidationError as error:
        if error.errors()[0]["loc"] == ("name",):
            raise ConfigurationError(
                f"{file}: tasks.{name}: a task's name has lower-case letters, digits, - and _ only."
            ) from error
        keys = [*Task.model_fields, *TrainingSettings.model_fields]
        raise ConfigurationError(f"{file}: tasks.{name}: {explain(error, keys)}") from error
