"""An update: what one device sends in one round, and the header its file carries."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from shared.errors import FedbellError
from shared.federated.task import Name
from shared.federated.weights import Weights

#: What a training measures, of its last epoch.
Metric = Literal["loss", "accuracy", "val_loss", "val_accuracy"]

_MOST_METRICS_CHARACTERS = 500

#: More samples than any device holds; keeps sums of products exact in float64.
MOST_SAMPLES = 2**29


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
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("metrics", mode="before")
    @classmethod
    def _metrics_from_text(cls, metrics: Any) -> Any:
        if not isinstance(metrics, str):
            return metrics
        if len(metrics) > _MOST_METRICS_CHARACTERS:
            raise ValueError("the text is too long")
        return json.loads(metrics)

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
        texts = {name: str(value) for name, value in self.model_dump(exclude={"metrics"}).items()}
        return texts | {"metrics": json.dumps(dict(self.metrics))}


@dataclass(frozen=True)
class Update:
    """One device's trained weights and the number of samples behind them."""

    device: str
    num_samples: int
    weights: Weights
