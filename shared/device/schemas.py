"""What a device's calls take and give, as the OpenAPI description tells it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.federated.names import Name


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


class Switch(BaseModel):
    """``on``: whether it is to be; a form says 1 or 0."""

    model_config = ConfigDict(extra="forbid")

    on: bool


class PredictQuery(TaskQuery):
    """``keep=1``: the picture is kept as one that the model was tried on."""

    keep: bool = False


class Guess(BaseModel):
    """A class and how likely the model takes it to be."""

    name: str
    probability: float


class Prediction(BaseModel):
    """What the installed model says of one picture."""

    task: str
    #: Of the model that answered.
    version: int
    #: At most 10, the most likely first.
    classes: list[Guess]
    #: decode, model, total.
    seconds: dict[str, float]
    #: Its id, if it was kept.
    picture: str | None = None


class Status(BaseModel):
    """How a device is."""

    device: str
    #: None: the main server cannot call it, it comes by itself.
    url: str | None
    main_server: dict[str, Any]
    federation: str | None
    trainer: dict[str, Any]
    tasks: dict[str, dict[str, Any]]
    #: What one picture and one upload may hold.
    limits: dict[str, int]
    #: By task that the main server no longer has, how many uploaded pictures are left.
    gone_pictures: dict[str, int]
