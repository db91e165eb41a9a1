"""A task: one classification problem that a federation learns."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

#: Names of tasks and devices: they become folder and file names, so nothing else is allowed.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]

#: Names of classes: they become folder names too, but people like capitals and spaces.
ClassName = Annotated[str, StringConstraints(pattern=r"^[^\s./\\][^/\\\x00-\x1f]{0,62}$")]


class TrainingSettings(BaseModel):
    """How a device trains in one round, unless the call says otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(default=5, ge=1, le=1000)
    batch_size: int = Field(default=16, ge=1, le=4096)
    learning_rate: float = Field(default=0.001, gt=0, le=10, allow_inf_nan=False)


class Task(BaseModel):
    """One classification problem: its classes, its network and how it is trained.

    The main server owns tasks (main_server/tasks.toml); devices fetch them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    #: In this order they are the network's outputs.
    classes: tuple[ClassName, ...] = Field(min_length=2, max_length=1000)
    architecture: Literal["mobilenet"] = "mobilenet"
    #: Width of the network, as a fraction of the full MobileNet.
    alpha: float = 0.25
    #: Side of the square picture the network sees, in pixels.
    image_size: int = Field(default=96, ge=32, le=512, multiple_of=32)
    #: "builtin", "imagenet", or "file:NAME" for a file in the device's backbone directory.
    backbone: Annotated[str, StringConstraints(pattern=r"^(builtin|imagenet|file:[\w.-]+)$")] = (
        "builtin"
    )
    #: What is trained: the head alone, the last pointwise block and the head, or everything.
    trainable: Literal["head", "block", "all"] = "head"
    strategy: Literal["fedavg"] = "fedavg"
    #: Updates without which a round is not aggregated.
    min_updates: int = Field(default=1, ge=1)
    seed: int = Field(default=1, ge=0, lt=2**31)
    training: TrainingSettings = TrainingSettings()

    def network(self) -> dict[str, Any]:
        """What decides the network's weights, ready for JSON: versions of a task share it."""
        keys = {"classes", "architecture", "alpha", "image_size", "backbone", "trainable"}
        return self.model_dump(mode="json", include=keys)

    @field_validator("alpha")
    @classmethod
    def _alpha_has_weights(cls, alpha: float) -> float:
        if alpha not in (0.25, 0.5, 0.75, 1.0):
            raise ValueError("alpha is 0.25, 0.5, 0.75 or 1.0")
        return alpha

    @model_validator(mode="after")
    def _classes_are_distinct(self) -> Self:
        twice = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if twice:
            raise ValueError(f"classes are named twice: {', '.join(twice)}")
        return self
