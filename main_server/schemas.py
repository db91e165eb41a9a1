"""What the main server's calls take and give, as the OpenAPI description tells it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.federated.activity import Activity
from shared.federated.evaluation import DeviceEvaluation
from shared.federated.names import Name
from shared.federated.update import MOST_SAMPLES


class Strict(BaseModel):
    """A body or query in which unknown names are errors."""

    model_config = ConfigDict(extra="forbid")


class TaskQuery(Strict):
    """``?task=``; without it, the first task."""

    task: Name | None = None


class StepQuery(TaskQuery):
    """``?device=``: the step on that device alone; without it, on every one."""

    device: Name | None = None


class PageQuery(TaskQuery):
    """A list, newest first, from before a number."""

    limit: int = Field(default=50, ge=1, le=500)
    before: int | None = Field(default=None, ge=0, le=2**31)


class RunRounds(Strict):
    """How many rounds to run."""

    rounds: int = Field(default=1, ge=1, le=10_000)
    #: The first of them is what remains of the current round, where one is open.
    finish: bool = False


class VersionEvaluation(DeviceEvaluation):
    """An evaluation and the version it is of."""

    version: int = Field(ge=0, le=2**31)


class DeviceTaskStatus(Strict):
    """What a device says of one task."""

    num_samples: int = Field(ge=0, le=MOST_SAMPLES)
    #: The version it has installed.
    version: int | None = Field(default=None, ge=0, le=2**31)
    evaluation: VersionEvaluation | None = None
    #: Why it cannot take part, in a sentence for people.
    problem: str | None = Field(default=None, max_length=2000)
    #: What it cannot do although it takes part: measure a version, say.
    reservation: str | None = Field(default=None, max_length=2000)
    #: The step that it is at in this task, if any.
    activity: Activity | None = None


class ClientStatus(Strict):
    """A device's heartbeat."""

    device: Name
    #: Where the main server reaches it; None: nowhere, it pulls and pushes by itself.
    url: str | None = Field(default=None, min_length=8, max_length=500)
    #: Where a person's browser does; without it, at the same address. Only ever a link.
    page_url: str | None = Field(default=None, max_length=500, pattern=r"^https?://[^\s]+$")
    tasks: dict[Name, DeviceTaskStatus] = Field(default_factory=dict, max_length=1000)


class HeartbeatAnswer(BaseModel):
    """What a device learns from its heartbeat."""

    federation: str
    heartbeat_seconds: float
    #: Whether it is to make itself another token: POST /devices/token.
    rotate_token: bool = False
    #: By task: its definition, the newest version, the newest that was sent out, and the round
    #: that is open or comes next: its number, whether it asks this device, whether an update of
    #: the device is here, and its deadline.
    tasks: dict[str, dict[str, Any]]


class UpdateTold(BaseModel):
    """An update that counts in a round."""

    num_samples: int
    #: The size of its file.
    bytes: int
    metrics: dict[str, float]
    #: That it started from; null: the round's.
    base_version: int | None
    #: By how much it was multiplied for its staleness; null: 1.
    weight: float | None
    #: The Euclidean norm of its change.
    norm: float | None
    #: Why it stands out from the others; null: it does not.
    outlier: str | None


class UpdatesOfDevice(UpdateTold):
    """The last update that came of a device in a round."""

    further: list[UpdateTold] = Field(
        description="Those that came before it and count too, in the order they came."
    )


class RoundTold(BaseModel):
    """A round. Times are seconds since 1970."""

    task: str
    number: int
    status: str
    strategy: str
    parameters: dict[str, Any] | None = Field(
        description="All of the strategy's; null where they were not noted."
    )
    base_version: int
    version: int | None
    selected: list[str] | None
    quorum: int | None
    deadline: float | None
    overdue: bool
    missing_updates: int
    resting: dict[str, int] = Field(
        description="Of an open round: devices that it does not ask, by the round that does again."
    )
    updates: dict[str, UpdatesOfDevice] = Field(description="By device.")
    num_updates: int = Field(description="Of all devices: where one has several, all of them.")


class RoundsTold(BaseModel):
    """Rounds of a task."""

    task: str
    rounds: list[RoundTold]


class FanOut(BaseModel):
    """A step on every device: its answer, or its error."""

    round: int
    devices: dict[str, dict[str, Any]]


class TrainFanOut(FanOut):
    """``modeltrain`` on every device that has pictures of the task."""

    #: The devices that have none, and why.
    left_out: dict[str, str]


class Aggregated(BaseModel):
    """A round's updates have become a version."""

    round: int
    version: int
    strategy: str
    updates: int
    num_samples: int
    seconds: float


class Distributed(BaseModel):
    """A version went out to the devices."""

    version: int
    devices: dict[str, dict[str, Any]]
    evaluation: dict[str, float] | None


class RoundsRun(BaseModel):
    """The rounds that were run."""

    rounds: list[dict[str, Any]]
