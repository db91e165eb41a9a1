"""How well one version of the global model did on one device's own test pictures."""

from pydantic import BaseModel, ConfigDict, Field

from shared.federated.update import MOST_SAMPLES


class DeviceEvaluation(BaseModel):
    """What a device tells of a version: numbers about its pictures, never the pictures."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    #: Fraction of the test pictures that were classified rightly.
    accuracy: float = Field(ge=0, le=1)
    #: Mean cross entropy, in nats.
    loss: float = Field(ge=0, allow_inf_nan=False)
    num_samples: int = Field(ge=1, le=MOST_SAMPLES)
