"""A task: one classification problem that a federation learns."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from shared.federated.aggregation import STRATEGIES, Strategy
from shared.federated.aggregation.parameters import wrong_parameters
from shared.federated.names import ClassName, Name
from shared.federated.policies import (
    AsynchronousSettings,
    CompressionSettings,
    KeepSettings,
    Mode,
    RoundSettings,
)

Architecture = Literal["mobilenet", "catdog_cnn", "mnist_mlp", "mnist_cnn"]
#: How a training makes a step of a gradient: with moments of its own, or along it.
Optimizer = Literal["adam", "sgd"]

#: These see grey pictures, all others coloured ones.
_GREY: frozenset[Architecture] = frozenset({"mnist_mlp", "mnist_cnn"})

#: What a task's network is when nobody says. None: this architecture has no such thing.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "mobilenet": {"alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"},
    "catdog_cnn": {"alpha": None, "image_size": 100, "backbone": None, "trainable": "all"},
    "mnist_mlp": {"alpha": None, "image_size": 28, "backbone": None, "trainable": "all"},
    "mnist_cnn": {"alpha": None, "image_size": 28, "backbone": None, "trainable": "all"},
}
#: MobileNet halves the picture five times.
_MOBILENET_STEP = 32
#: Smaller pictures leave nothing of a coloured photo, and nothing to convolve.
_LEAST_COLOURED_SIZE = 32


#: What tells how updates are combined.
_STRATEGY = ("strategy", "strategy_parameters")


def _default(field: str) -> Callable[[dict[str, Any]], Any]:
    """Gives the field's default, which depends on the fields before it."""
    return lambda before: _DEFAULTS[before.get("architecture", "mobilenet")][field]


def check_parameters(strategy: str, parameters: dict[str, Any]) -> None:
    """Raise ValueError, naming the parameter, where a strategy cannot have these."""
    for name, why in wrong_parameters(STRATEGIES[strategy], parameters).items():
        raise ValueError(f"{name}: {why}")


class TrainingSettings(BaseModel):
    """How a device trains in one round, unless the call says otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(default=5, ge=1, le=1000)
    batch_size: int = Field(default=16, ge=1, le=4096)
    learning_rate: float = Field(default=0.001, gt=0, le=10, allow_inf_nan=False)
    #: Adam, or plain stochastic gradient descent without momentum, as in McMahan et al. 2017.
    optimizer: Optimizer = "adam"


class Task(BaseModel):
    """One classification problem: its classes, its network and how it is trained.

    The main server owns tasks (main_server/tasks.toml); devices fetch them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    #: In this order they are the network's outputs.
    classes: tuple[ClassName, ...] = Field(min_length=2, max_length=1000)
    #: "catdog_cnn" is a small network that tells two classes apart; mnist_mlp and mnist_cnn see
    #: grey pictures. These three start from nothing.
    architecture: Architecture = "mobilenet"
    #: Width of a MobileNet, as a fraction of the full one.
    alpha: float | None = Field(default_factory=_default("alpha"))
    #: Side of the square picture the network sees, in pixels.
    image_size: int = Field(default_factory=_default("image_size"), ge=8, le=512)
    #: "builtin", "imagenet", or "file:NAME" for a file in the device's backbone directory.
    backbone: (
        Annotated[str, StringConstraints(pattern=r"^(builtin|imagenet|file:[\w.-]+)$")] | None
    ) = Field(default_factory=_default("backbone"))
    #: What is trained: the head alone, the last pointwise block and the head, or everything.
    trainable: Literal["head", "block", "all"] = Field(default_factory=_default("trainable"))
    #: How a round's updates become the next version: a name of STRATEGIES.
    strategy: str = "fedavg"
    #: Those of its parameters that are not to have their defaults.
    strategy_parameters: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    #: "async": an update that arrives changes the global model at once; there are no steps.
    mode: Mode = "sync"
    #: Updates without which a round is not aggregated.
    min_updates: int = Field(default=1, ge=1)
    #: Whether a round that has all its updates is aggregated and sent out by itself.
    auto_aggregate: bool = False
    seed: int = Field(default=1, ge=0, lt=2**31)
    training: TrainingSettings = TrainingSettings()
    rounds: RoundSettings = RoundSettings()
    asynchronous: AsynchronousSettings = AsynchronousSettings()
    compression: CompressionSettings = CompressionSettings()
    keep: KeepSettings = Field(default=KeepSettings(), validate_default=True)

    @classmethod
    def as_known_here(cls, definition: dict[str, Any]) -> Self:
        """A task as somebody else tells it, or told it once: a strategy that there is not here, or
        not with such parameters, counts as FedAvg. Whoever combines updates refuses what it cannot.

        Raises:
            ValidationError: something else is wrong.
        """
        try:
            return cls.model_validate(definition)
        except ValidationError as error:
            wrong = {told["loc"][0] if told["loc"] else "" for told in error.errors()}
            if not wrong <= set(_STRATEGY):
                raise
        return cls.model_validate(
            {key: value for key, value in definition.items() if key not in _STRATEGY}
        )

    @property
    def needed_updates(self) -> int:
        """How many updates a round needs: as many as the task says, or more for its strategy."""
        return max(self.min_updates, self.rule.least_updates())

    @property
    def rule(self) -> Strategy:
        """The strategy, with its parameters."""
        return STRATEGIES[self.strategy].model_validate(self.strategy_parameters)

    @property
    def channels(self) -> int:
        """Of the pictures that the network sees: 1 for grey, 3 for RGB."""
        return 1 if self.architecture in _GREY else 3

    def network(self) -> dict[str, Any]:
        """What decides the network's weights, ready for JSON: versions of a task share it."""
        keys = {"classes", "architecture", "alpha", "image_size", "backbone", "trainable"}
        return self.model_dump(mode="json", include=keys)

    @field_validator("strategy")
    @classmethod
    def _is_a_strategy(cls, strategy: str) -> str:
        if strategy not in STRATEGIES:
            there_are = ", ".join(STRATEGIES)
            raise ValueError(f"there is no strategy {strategy!r}; there are {there_are}")
        return strategy

    @field_validator("strategy_parameters")
    @classmethod
    def _are_its_parameters(
        cls, parameters: dict[str, Any], before: ValidationInfo
    ) -> dict[str, Any]:
        strategy = before.data.get("strategy")
        if strategy is not None:
            check_parameters(strategy, parameters)
        return parameters

    @field_validator("mode")
    @classmethod
    def _has_rounds_for_a_strategy(cls, mode: str, before: ValidationInfo) -> str:
        strategy = before.data.get("strategy", "fedavg")
        if mode == "async" and strategy != "fedavg":
            raise ValueError(
                "an asynchronous task combines updates by its asynchronous.rule; leave strategy "
                f"({strategy}) out"
            )
        return mode

    @field_validator("auto_aggregate")
    @classmethod
    def _has_rounds_to_close(cls, auto_aggregate: bool, before: ValidationInfo) -> bool:
        if auto_aggregate and before.data.get("mode") == "async":
            raise ValueError("an asynchronous task makes its versions by itself; leave it out")
        return auto_aggregate

    @field_validator("keep")
    @classmethod
    def _keeps_not_every_update(cls, keep: KeepSettings, before: ValidationInfo) -> KeepSettings:
        return keep.for_many_versions() if before.data.get("mode") == "async" else keep

    @field_validator("classes")
    @classmethod
    def _classes_are_distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in classes if classes.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return classes

    @field_validator("architecture")
    @classmethod
    def _fits_the_classes(cls, architecture: str, before: ValidationInfo) -> str:
        count = len(before.data.get("classes", ()))
        if architecture == "catdog_cnn" and count > 2:
            raise ValueError(
                f"catdog_cnn tells two classes apart, and there are {count}; "
                "the others take any number"
            )
        return architecture

    @field_validator("alpha", "backbone", "trainable")
    @classmethod
    def _has_a_meaning(cls, value: Any, before: ValidationInfo) -> Any:
        architecture = before.data.get("architecture", "mobilenet")
        default = _DEFAULTS[architecture][before.field_name or ""]
        if architecture != "mobilenet" and value != default:
            raise ValueError(
                f"{architecture} is trained whole and from nothing; leave {before.field_name} out"
            )
        if value is None and default is not None:
            raise ValueError(f"{architecture} needs one, such as {default!r}")
        return value

    @field_validator("alpha")
    @classmethod
    def _alpha_has_weights(cls, alpha: float | None) -> float | None:
        if alpha not in (None, 0.25, 0.5, 0.75, 1.0):
            raise ValueError("alpha is 0.25, 0.5, 0.75 or 1.0")
        return alpha

    @field_validator("image_size")
    @classmethod
    def _image_size_fits(cls, size: int, before: ValidationInfo) -> int:
        architecture = before.data.get("architecture", "mobilenet")
        if architecture == "mobilenet" and size % _MOBILENET_STEP:
            raise ValueError(f"mobilenet sees pictures of a multiple of {_MOBILENET_STEP} pixels")
        if architecture not in _GREY and size < _LEAST_COLOURED_SIZE:
            raise ValueError(
                f"{architecture} sees pictures of at least {_LEAST_COLOURED_SIZE} pixels a side"
            )
        return size
