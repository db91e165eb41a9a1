"""An update: what one device sends in one round, and the header its file carries."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from shared.errors import FedbellError
from shared.federated.names import Name
from shared.federated.weights import Weights, part

#: What a training measures, of its last epoch.
Metric = Literal["loss", "accuracy", "val_loss", "val_accuracy"]

_MOST_METRICS_CHARACTERS = 500
#: Of longer trainings an update tells the last epoch alone.
MOST_HISTORY_EPOCHS = 100
_MOST_HISTORY_CHARACTERS = 10_000

#: What some strategies need to know of a training: how many steps it took, how long each was, and
#: the mean loss of the weights that it started from on the device's training pictures.
UpdateFact = Literal["num_steps", "learning_rate", "base_loss"]

#: More samples than any device holds; keeps sums of products exact in float64.
MOST_SAMPLES = 2**29


#: How an update's numbers may be written, see shared.federated.packing.
PackingName = Literal["float16", "int8", "top_k"]


class BadHeader(FedbellError):
    """The metadata of an update's file is incomplete or wrong."""

    status = 422
    title = "The update's header is wrong"


class UpdateHeader(BaseModel):
    """The metadata of an update's safetensors file, where all values are text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Name
    device: Name
    #: The global version that the training started from.
    base_version: int = Field(ge=0, le=2**31)
    num_samples: int = Field(ge=1, le=MOST_SAMPLES)
    #: The last epoch's loss, accuracy, val_loss and val_accuracy, as far as there are any.
    metrics: Mapping[Metric, Annotated[float, Field(allow_inf_nan=False)]]
    #: The same of every epoch; empty where there are more than MOST_HISTORY_EPOCHS.
    history: Mapping[Metric, list[Annotated[float, Field(allow_inf_nan=False)]]] = {}
    #: The device's own count of its updates of this task, from 1; two trainings that came out
    #: the same are two updates. None where a device does not count them.
    sequence: int | None = Field(default=None, ge=1, le=2**53)
    #: The SHA-256 of the file of that global version: a main server that went back to a backup
    #: makes another version of the same number. None where a device does not tell it.
    base_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    #: What it was trained for, see Strategy.key; None: fedavg, or any other that asks no more.
    strategy: str | None = Field(default=None, pattern=r"^[a-z0-9_]{1,40}(-[0-9a-f]{8})?$")
    #: How its numbers are written; None: as float32.
    packing: PackingName | None = None
    num_steps: int | None = Field(default=None, ge=1, le=2**31)
    learning_rate: float | None = Field(default=None, ge=1e-9, le=100, allow_inf_nan=False)
    base_loss: float | None = Field(default=None, ge=0, le=1e6, allow_inf_nan=False)

    @property
    def told(self) -> dict[UpdateFact, float]:
        """What it tells of the training."""
        facts: tuple[UpdateFact, ...] = get_args(UpdateFact)
        values = {fact: getattr(self, fact) for fact in facts}
        return {fact: value for fact, value in values.items() if value is not None}

    @field_validator("metrics", "history", mode="before")
    @classmethod
    def _from_text(cls, told: Any, info: ValidationInfo) -> Any:
        if not isinstance(told, str):
            return told
        is_short = info.field_name == "metrics"
        if len(told) > (_MOST_METRICS_CHARACTERS if is_short else _MOST_HISTORY_CHARACTERS):
            raise ValueError("the text is too long")
        try:
            return json.loads(told)
        except RecursionError as error:
            raise ValueError("it is nested too deep") from error

    @field_validator("history")
    @classmethod
    def _history_is_short(cls, history: Mapping[str, list[float]]) -> Mapping[str, list[float]]:
        if any(len(values) > MOST_HISTORY_EPOCHS for values in history.values()):
            raise ValueError(f"it has more than {MOST_HISTORY_EPOCHS} epochs")
        return history

    @classmethod
    def parse(cls, metadata: Mapping[str, str]) -> Self:
        """A header from a file's metadata. Raises BadHeader, naming the field."""
        try:
            return cls.model_validate(dict(metadata))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"]) or "metadata"
            raise BadHeader(f"{name}: {first['msg']}.") from error

    def as_metadata(self) -> dict[str, str]:
        """The header as a file's metadata."""
        objects = {"metrics", "history"} if self.history else {"metrics"}
        plain = self.model_dump(exclude={"metrics", "history"}, exclude_none=True)
        texts = {name: str(value) for name, value in plain.items()}
        return texts | {name: json.dumps(dict(getattr(self, name))) for name in objects}


def short_history(history: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """A training's history as an update tells it: to six digits, empty when it is long."""
    if any(len(values) > MOST_HISTORY_EPOCHS for values in history.values()):
        return {}
    return {name: [float(f"{value:.6g}") for value in values] for name, values in history.items()}


@dataclass(frozen=True)
class Update:
    """One device's trained weights and the number of samples behind them.

    Attributes:
        weight: by how much it counts besides, for its staleness.
        told: what else its header tells, see :data:`UpdateFact`; as much as its strategy needs.
        carried: what it brings besides weights, by slot: how a control variate changed, say. Each
            has the names and shapes of the trained arrays.
        staleness: how many versions older its base is than the round's.
    """

    device: str
    num_samples: int
    weights: Weights
    weight: float = 1.0
    told: Mapping[UpdateFact, float] = field(default_factory=dict)
    carried: Mapping[str, Weights] = field(default_factory=dict)
    staleness: int = 0

    def of(self, names: Collection[str]) -> Self:
        """The same of some arrays."""
        carried = {
            slot: part(held, [name for name in held if name in names])
            for slot, held in self.carried.items()
        }
        return replace(self, weights=part(self.weights, names), carried=carried)
