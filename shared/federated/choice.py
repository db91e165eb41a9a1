"""Which strategy a task goes by: as somebody chooses it, and as a main server tells its devices."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import ValidationError

from shared.errors import FedbellError
from shared.federated.aggregation import STRATEGIES, Strategy
from shared.federated.aggregation.parameters import ALL, wrong_parameters
from shared.federated.strategy_words import fields_of, unknown
from shared.federated.task import Task

#: The header of an answer with a version: what it is to be trained for.
HEADER = "Fedbell-Strategy"
#: What is longer is not told so; heartbeats tell it, too.
MOST_HEADER_CHARACTERS = 4096

_TOLD = ("strategy", "strategy_parameters")


class BadChoice(FedbellError):
    """There is no such strategy, or it cannot have such parameters."""

    status = 422
    title = "The strategy cannot be chosen so"


@dataclass(frozen=True)
class Choice:
    """A strategy with its parameters.

    Attributes:
        strategy: a name of STRATEGIES.
        parameters: those that are not to have their defaults, ready for JSON.
    """

    strategy: str
    parameters: Mapping[str, Any]

    @classmethod
    def checked(cls, strategy: str, parameters: Mapping[str, Any]) -> Self:
        """What somebody chooses; a text that is to be a list is one at its blanks.

        Raises:
            BadChoice: its ``errors`` name the parameters.
        """
        if strategy not in STRATEGIES:
            raise _bad({"strategy": unknown(strategy)})
        chosen = STRATEGIES[strategy]
        lists = {field["name"] for field in fields_of(chosen) if field.get("type") == "array"}
        parameters = {
            name: value.split() if name in lists and isinstance(value, str) else value
            for name, value in parameters.items()
        }
        if wrong := wrong_parameters(chosen, parameters):
            raise _bad(wrong)
        told = chosen.model_validate(parameters).model_dump(mode="json", exclude_defaults=True)
        try:
            json.dumps(told, allow_nan=False)
        except ValueError as error:
            raise _bad({ALL: "They have to be finite numbers"}) from error
        return cls(strategy, told)

    @classmethod
    def of(cls, task: Task) -> Self:
        """That of a task."""
        return cls(task.strategy, task.rule.model_dump(mode="json", exclude_defaults=True))

    @property
    def rule(self) -> Strategy:
        """The strategy itself."""
        return STRATEGIES[self.strategy].model_validate(self.parameters)

    @property
    def all_parameters(self) -> dict[str, Any]:
        """Its parameters, defaults too, ready for JSON."""
        return self.rule.model_dump(mode="json")

    def applied(self, task: Task) -> Task:
        """The task with this strategy."""
        told = dict(zip(_TOLD, (self.strategy, dict(self.parameters)), strict=True))
        return task.model_copy(update=told)


def _bad(wrong: Mapping[str, str]) -> BadChoice:
    told = "; ".join(f"{name}: {why}" for name, why in wrong.items())
    return BadChoice(f"{told}.", errors={name: [why] for name, why in wrong.items()})


def as_header(task: Task) -> str | None:
    """What a version of a task is to be trained for, as the value of HEADER; None: too long."""
    values = (task.strategy, task.strategy_parameters)
    told = json.dumps(dict(zip(_TOLD, values, strict=True)))
    return told if len(told) <= MOST_HEADER_CHARACTERS else None


def with_header(task: Task, header: str) -> Task:
    """The task with the strategy that a value of HEADER tells; whoever sent it may be hostile.

    Raises:
        ValueError: it makes no sense, in one line.
    """
    if len(header) > MOST_HEADER_CHARACTERS:
        raise ValueError(f"it has more than {MOST_HEADER_CHARACTERS} characters")
    try:
        told = json.loads(header)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not isinstance(told, dict) or told.keys() != set(_TOLD):
        raise ValueError(f"it is no JSON object of {' and '.join(_TOLD)}")
    try:
        return Task.model_validate(task.model_dump(mode="json") | told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(str(first["msg"])[:300]) from error
