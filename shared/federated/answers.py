"""What a device answers to the steps of a round; both sides of the wire share these."""

from typing import Literal

from pydantic import BaseModel

from shared.federated.evaluation import DeviceEvaluation
from shared.federated.update import Metric


class Trained(BaseModel):
    """To ``modeltrain``: a training's result, which is the device's pending update now."""

    task: str
    base_version: int
    #: "newest", or "installed" when the main server was away; then ``reservation`` says so. Where
    #: the device's schedule began it, also "own": what it had learned itself was trained on.
    base: str
    reservation: str | None = None
    #: What was trained for; None: the device does not tell it.
    strategy: str | None = None
    epochs: int
    batch_size: int
    learning_rate: float
    num_samples: int
    #: One number an epoch; val_loss and val_accuracy only with validation pictures.
    history: dict[Metric, list[float]]
    #: Of what this device alone has learned, on its own test pictures; null without any.
    evaluation: DeviceEvaluation | None
    #: How many pictures could not be read. Which ones, only the device's own page tells.
    skipped: int
    seconds: float


class Sent(BaseModel):
    """To ``sendmodel``, and the main server's to ``cmodel``: an update that counts."""

    round: int
    device: str
    num_samples: int
    bytes: int


class Installed(BaseModel):
    """To ``aggmodel``: a version is installed, and how good it is here."""

    task: str
    version: int
    installed: Literal[True]
    #: Null where there are no test pictures; then ``reservation`` says so.
    evaluation: DeviceEvaluation | None
    reservation: str | None = None
    #: How many test pictures could not be read.
    skipped: int = 0
