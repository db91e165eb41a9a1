"""What a device is at in one task: told by its heartbeat while a step takes its time."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

#: A finite number; None where there is none yet.
Metric = Annotated[float | None, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)]


class Activity(BaseModel):
    """One step that runs on a device, and how far it is.

    Attributes:
        phase: ``features`` while pictures are read, ``training`` while epochs run; None before
            either, and where a step has neither.
        done: pictures or epochs so far, out of ``total``; both 0 without a phase.
        elapsed_seconds: since the step began.
        eta_seconds: until the phase ends, at its pace so far; None before that is known.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    step: Literal["modeltrain", "sendmodel", "aggmodel"]
    phase: Literal["features", "training"] | None = None
    done: int = Field(default=0, ge=0, lt=2**31)
    total: int = Field(default=0, ge=0, lt=2**31)
    loss: Metric = None
    accuracy: Metric = None
    val_loss: Metric = None
    val_accuracy: Metric = None
    elapsed_seconds: Seconds
    eta_seconds: Seconds | None = None
