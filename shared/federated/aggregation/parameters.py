"""What is wrong with the parameters that somebody gives a strategy."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from shared.federated.aggregation.strategy import Strategy

#: Stands for all parameters together, where what is wrong is no single one.
ALL = "parameters"


def wrong_parameters(strategy: type[Strategy], parameters: Mapping[str, Any]) -> dict[str, str]:
    """By parameter, why a strategy cannot have it so; empty: it can have all of them."""
    try:
        strategy.model_validate(parameters)
    except ValidationError as error:
        told: dict[str, str] = {}
        for each in error.errors(include_url=False, include_input=False):
            name, *places = each["loc"] or (ALL,)
            why = each["msg"].removeprefix("Value error, ")
            if each["type"] == "extra_forbidden":
                known = ", ".join(strategy.model_fields) or "none"
                why = f"{strategy.name} has no such parameter; it has: {known}"
            elif places:
                why = f"number {places[0] + 1 if isinstance(places[0], int) else places[0]}: {why}"
            told.setdefault(str(name), why)
        return told
    return {}
