"""Strategies and their parameters, as people read them: on pages, in the log, in a shell."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from shared.federated.aggregation import ASYNCHRONOUS_STRATEGIES, STRATEGIES
from shared.federated.aggregation.strategy import Kind, Strategy

#: By kind, in the order in which they are listed: its heading, and what its strategies are for.
KINDS: Mapping[Kind, tuple[str, str]] = {
    "average": ("Averages", "What devices have learned is averaged; they differ in what counts."),
    "server optimiser": (
        "Server optimisers",
        "The mean change of a round is a step, which the main server takes as an optimiser does.",
    ),
    "robust": ("Robust rules", "A few updates may be wrong, or lies: they do not decide."),
    "personal": ("Personal layers", "Part of the network stays on each device."),
}
_TITLES = {name: each.title for name, each in STRATEGIES.items()} | {
    name: each.title for name, each in ASYNCHRONOUS_STRATEGIES.items()
}


def unknown(strategy: str) -> str:
    """What to tell who names a strategy that there is not, with what is spelled like it."""
    if strategy in ASYNCHRONOUS_STRATEGIES:
        return (
            f'{strategy} is a rule of asynchronous tasks: in tasks.toml, mode = "async" and '
            f'asynchronous.rule = "{strategy}"'
        )
    near = get_close_matches(strategy, STRATEGIES, n=2)
    told = f"near it: {', '.join(near)}" if near else f"there are {', '.join(STRATEGIES)}"
    return f"there is no strategy {strategy[:80]!r}; {told}"


def title_of(strategy: str) -> str:
    """What people call a strategy, or a rule of asynchronous tasks; one that is gone: its name."""
    return _TITLES.get(strategy, strategy)


def in_words(strategy: str, parameters: Mapping[str, Any] | None) -> str:
    """A strategy with parameters, such as ``FedProx, mu 0.1``."""
    return ", ".join([title_of(strategy), *parameters_in_words(parameters)])


def parameters_in_words(parameters: Mapping[str, Any] | None) -> list[str]:
    """Each parameter with its value, such as ``mu 0.1``."""
    return [f"{name} {value_in_words(value)}" for name, value in (parameters or {}).items()]


def value_in_words(value: Any) -> str:
    """A parameter's value as people read and write it."""
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)


def fields_of(strategy: type[Strategy]) -> list[dict[str, Any]]:
    """A strategy's parameters, as its ``described`` tells them; of one that may be None, what it is
    otherwise."""
    return [plain(field) for field in strategy.described()["parameters"]]


def plain(field: Mapping[str, Any]) -> dict[str, Any]:
    """The same of one parameter."""
    others = [each for each in field.get("anyOf", ()) if each.get("type") != "null"]
    return {**field, **(others[0] if len(others) == 1 else {})}


def bounds_in_words(told: Mapping[str, Any]) -> str:
    """What a parameter may be, such as ``above 0, at most 10``; empty: anything.

    Args:
        told: as :func:`fields_of` gives it.
    """
    if told.get("enum"):
        return " or ".join(map(str, told["enum"]))
    if told.get("type") == "array":
        return f"up to {told['maxItems']} of them" if "maxItems" in told else ""
    names = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    bounds = [f"{word} {told[name]:.10g}" for name, word in names.items() if name in told]
    if "minimum" in told and "maximum" in told:
        bounds = [f"{told['minimum']:.10g} to {told['maximum']:.10g}"]
    return ", ".join(bounds)
