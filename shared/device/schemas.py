"""What a device's calls take and give, as the OpenAPI description tells it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.federated.task import Name


class TaskQuery(BaseModel):
    """``?task=``; without it, the first task."""

    model_config = ConfigDict(extra="forbid")

    task: Name | None = None


class VersionChoice(BaseModel):
    """Which version to install; without it, the newest."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(default=None, ge=0, lt=2**31)


class RoundChoice(BaseModel):
    """Which round to send an update for; without it, the one that is open."""

    model_config = ConfigDict(extra="forbid")

    round: int | None = Field(default=None, ge=1, lt=2**31)


class Status(BaseModel):
    """How a device is."""

    device: str
    url: str
    main_server: dict[str, Any]
    federation: str | None
    trainer: dict[str, Any]
    tasks: dict[str, dict[str, Any]]
