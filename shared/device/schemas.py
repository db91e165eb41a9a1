"""What a device's calls take and give, as the OpenAPI description tells it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.federated.evaluation import DeviceEvaluation
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


class Trained(BaseModel):
    """A training's result, which is the device's pending update now."""

    task: str
    base_version: int
    #: "newest", or "installed" when the main server was away; then ``reservation`` says so.
    base: str
    reservation: str | None = None
    epochs: int
    batch_size: int
    learning_rate: float
    num_samples: int
    #: loss, accuracy and, with validation pictures, val_loss and val_accuracy: one number an epoch.
    history: dict[str, list[float]]
    #: Of what this device alone has learned, on its own test pictures; null without any.
    evaluation: DeviceEvaluation | None
    #: Pictures that could not be read, and why.
    skipped: list[dict[str, str]]
    seconds: float


class Sent(BaseModel):
    """What the main server made of an update."""

    round: int
    device: str
    num_samples: int
    bytes: int


class Installed(BaseModel):
    """A version that is installed, and how good it is on the device's own test pictures."""

    task: str
    version: int
    installed: bool
    #: null without a readable test picture; then ``reservation`` says why.
    evaluation: DeviceEvaluation | None
    reservation: str | None = None
    #: Test pictures that could not be read, and why.
    skipped: list[dict[str, str]]


class Status(BaseModel):
    """How a device is."""

    device: str
    url: str
    main_server: dict[str, Any]
    federation: str | None
    trainer: dict[str, Any]
    tasks: dict[str, dict[str, Any]]
