"""All strategies, as the API tells them."""

from typing import Any

from pydantic import BaseModel, Field

from main_server.server import MainServer
from shared.federated.aggregation import ASYNCHRONOUS_STRATEGIES, STRATEGIES
from shared.federated.choice import Choice
from shared.federated.strategy_words import title_of
from shared.federated.task import Task


class StrategyInUse(BaseModel):
    """A strategy with its parameters, defaults too."""

    strategy: str
    title: str
    parameters: dict[str, Any]


class StrategyTold(BaseModel):
    """What there is to know of a strategy."""

    name: str
    title: str
    kind: str = Field(description="average, server optimiser, robust, personal or asynchronous")
    summary: str
    explanation: str
    paper: str
    link: str | None = Field(description="Where the paper is; null: see paper.")
    parameters: list[dict[str, Any]] = Field(
        description="Each with its name, default, description, type and bounds (JSON Schema)."
    )
    carries: list[str] = Field(description="What an update brings besides weights.")
    keeps: str = Field(description="What a device keeps of it from round to round; empty: nothing.")


class StrategiesTold(BaseModel):
    """All strategies, and those of one task."""

    task: str
    mode: str
    in_use: StrategyInUse
    following: StrategyInUse | None = Field(
        description="The one from the next round on; null: the one in use."
    )
    strategies: list[StrategyTold]
    asynchronous_rules: list[StrategyTold] = Field(
        description="How asynchronous tasks combine updates; tasks.toml names one of them."
    )


def strategies_as_json(server: MainServer, task: Task) -> dict[str, Any]:
    """What ``GET /strategies`` answers."""
    following = server.strategies.following(task.name) if task.mode == "sync" else None
    return {
        "task": task.name,
        "mode": task.mode,
        "in_use": in_use(task),
        "following": _told(following) if following else None,
        "strategies": [each.described() for each in STRATEGIES.values()],
        "asynchronous_rules": asynchronous_rules(),
    }


def in_use(task: Task) -> dict[str, Any]:
    """The strategy that a task goes by; of an asynchronous one, its rule."""
    if task.mode == "sync":
        return _told(Choice.of(task))
    rule, settings = task.asynchronous.rule, task.asynchronous.model_dump(mode="json")
    parameters = {name: settings[name] for name in ASYNCHRONOUS_STRATEGIES[rule].settings}
    return {"strategy": rule, "title": title_of(rule), "parameters": parameters}


def asynchronous_rules() -> list[dict[str, Any]]:
    """The rules of asynchronous tasks, told as strategies are."""
    return [
        {"name": name, "kind": "asynchronous", **rule.described(), "carries": [], "keeps": ""}
        for name, rule in ASYNCHRONOUS_STRATEGIES.items()
    ]


def _told(choice: Choice) -> dict[str, Any]:
    return {
        "strategy": choice.strategy,
        "title": title_of(choice.strategy),
        "parameters": choice.all_parameters,
    }
