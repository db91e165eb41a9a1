"""What the main server answers to a heartbeat: its tasks, their versions and rounds."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from shared.federated.names import Name
from shared.federated.task import Task

#: No device beats more often, whatever it is told.
_LEAST_HEARTBEAT_SECONDS = 0.1


class RoundOffer(BaseModel):
    """What the main server tells of a synchronous task's open round."""

    number: int = Field(ge=0, le=2**31)
    #: Whether this device is one of those whose updates it waits for.
    asked: bool = True
    #: Whether an update of this device is here; None: the main server does not tell.
    sent: bool | None = None
    deadline: float | None = None


def _as_known_here(told: Any) -> Any:
    """The main server may have strategies that this device has not."""
    return Task.as_known_here(told) if isinstance(told, dict) else told


class TaskOffer(BaseModel):
    """One task as the main server tells it."""

    task: Annotated[Task, BeforeValidator(_as_known_here)]
    version: int | None = Field(ge=0, le=2**31)
    distributed_version: int | None = Field(ge=0, le=2**31)
    round: RoundOffer | None = None


class Greeting(BaseModel):
    """What the main server answers to a heartbeat."""

    federation: str = Field(min_length=1, max_length=128)
    heartbeat_seconds: Annotated[
        float,
        Field(gt=0, le=3600),
        AfterValidator(lambda seconds: max(seconds, _LEAST_HEARTBEAT_SECONDS)),
    ]
    tasks: dict[Name, TaskOffer] = Field(max_length=1000)
    #: Whether this device is to make itself another token.
    rotate_token: bool = False
