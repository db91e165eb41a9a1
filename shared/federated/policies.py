"""How a task's rounds begin and end, how updates count that come late, how they are packed, and
what is kept."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Mode = Literal["sync", "async"]
#: How one update, or a buffer of them, changes the global model at once.
AsynchronousRule = Literal["running_average", "fedasync", "fedbuff"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RoundSettings(_Settings):
    """The table ``[tasks.NAME.rounds]``: whom a synchronous round asks, and when it ends."""

    #: How long after its start a round is aggregated with the updates that are here, in seconds,
    #: once they are at least min_updates; None: whenever somebody aggregates.
    deadline_seconds: float | None = Field(default=None, gt=0, le=30 * 24 * 3600)
    #: What becomes of an update that started from an older version than the round: it is refused,
    #: or it counts, weighted by its staleness.
    late_updates: Literal["drop", "merge"] = "drop"
    #: A late update that started more versions ago is refused all the same.
    most_staleness: int = Field(default=10, ge=1, le=1000)
    #: The a of the weight (1 + staleness)^-a of a late update that is merged.
    staleness_exponent: float = Field(default=0.5, ge=0, le=10)
    #: Which part of the devices a round asks, chosen by the task's seed and the round's number.
    fraction: float = Field(default=1.0, gt=0, le=1)
    #: How many it asks instead; None: that fraction.
    number: int | None = Field(default=None, ge=1, le=100_000)
    #: How many more it asks than it needs: the first to send count.
    over_selection: int = Field(default=0, ge=0, le=100_000)
    #: A device that failed in so many rounds in a row is rested; None: never.
    rest_after: int | None = Field(default=3, ge=1, le=1000)
    #: For so many rounds.
    rest_rounds: int = Field(default=2, ge=1, le=1000)

    @model_validator(mode="after")
    def _asks_more_of_some(self) -> Self:
        if self.over_selection and self.number is None and self.fraction == 1:
            raise ValueError(
                f"over_selection ({self.over_selection}) asks more devices than a round needs, and "
                "it needs all of them; set number or fraction too"
            )
        return self


class AsynchronousSettings(_Settings):
    """The table ``[tasks.NAME.asynchronous]``: what one update does to the global model."""

    rule: AsynchronousRule = "fedasync"
    mixing: float = Field(
        default=0.6,
        gt=0,
        le=1,
        description="FedAsync's α: how far one fresh update moves the global model.",
    )
    staleness_exponent: float = Field(
        default=0.5,
        ge=0,
        le=10,
        description="The a of the weight (1 + staleness)^-a; 0: staleness does not matter.",
    )
    buffer_size: int = Field(
        default=10, ge=1, le=10_000, description="FedBuff's K: how many updates make a version."
    )
    server_learning_rate: float = Field(
        default=1.0, gt=0, le=100, description="FedBuff's η: how far the mean change moves it."
    )
    most_staleness: int = Field(
        default=50,
        ge=0,
        le=100_000,
        description="An update that started more versions ago is refused: its device pulls first.",
    )


class CompressionSettings(_Settings):
    """The table ``[tasks.NAME.compression]``: how devices write the numbers of an update."""

    #: See shared.federated.packing; "none": as float32.
    method: Literal["none", "float16", "int8", "top_k"] = "none"
    #: Of "top_k": which part of the numbers is sent.
    fraction: float = Field(default=0.01, gt=0, le=0.5)


class KeepSettings(_Settings):
    """The table ``[tasks.NAME.keep]``: which versions keep their file; all keep their row.

    Besides these, those remain that updates may still start from, late ones where these are
    merged; the newest and the first.
    """

    #: Of versions made one after the other, every so-manieth is a checkpoint.
    checkpoint_every: int = Field(default=1, ge=1, le=1_000_000)
    #: So many newest checkpoints are kept; None: all. Asynchronous tasks: 20.
    last: int | None = Field(default=None, ge=1, le=1_000_000)
    #: The checkpoint with the best federated accuracy is kept; where layers stay on devices, the
    #: personal one.
    best: bool = True
    #: Of the older checkpoints, those are kept whose version divides by this; None: none.
    #: Asynchronous tasks: 100 times checkpoint_every.
    every: int | None = Field(default=None, ge=1, le=1_000_000_000)

    def for_many_versions(self) -> Self:
        """The same with the defaults of asynchronous tasks, which make a version of each update:
        for what was not said, the last 20 checkpoints and every hundredth of the older ones."""
        defaults: dict[str, int] = {"last": 20, "every": 100 * self.checkpoint_every}
        unsaid = {
            name: each for name, each in defaults.items() if name not in self.model_fields_set
        }
        return self.model_copy(update=unsaid)

    @model_validator(mode="after")
    def _is_of_checkpoints(self) -> Self:
        if self.every is not None and self.every % self.checkpoint_every:
            raise ValueError(
                f"every ({self.every}) must be a multiple of checkpoint_every "
                f"({self.checkpoint_every}): other versions are no checkpoints"
            )
        return self
