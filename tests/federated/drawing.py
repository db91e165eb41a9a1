"""Rounds as hypothesis draws them: any numbers, any parameters, whatever headers may tell."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from shared.federated.aggregation import STRATEGIES, Arrival, ServerState, Strategy
from shared.federated.aggregation.staleness import polynomial_weight
from shared.federated.update import Update, UpdateFact
from shared.federated.weights import Array
from tests.federated.rounds import Drawn, Filler, least_updates, network, update_of

#: For tests whose first argument is ``name``.
every_strategy = pytest.mark.parametrize("name", STRATEGIES)

#: Few examples: they are of every strategy. Of rules that need many updates they are large, and
#: some parameters are rejected.
some = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
    ],
)

#: Of numbers that come in; such an update is refused already by its norm.
LARGEST = float(np.float32(1e30))

_seeds = st.integers(0, 2**32 - 1)


def _few(largest: float) -> st.SearchStrategy[Array]:
    numbers = st.floats(-largest, largest, width=32)
    return st.lists(numbers, min_size=1, max_size=8).map(lambda few: np.array(few, np.float32))


_FEW = {largest: _few(largest) for largest in (LARGEST, 1e6)}


def fillers(largest: float = LARGEST) -> st.SearchStrategy[Filler]:
    """Fills arrays with a few numbers: hypothesis chooses these, chance their places."""
    return st.builds(_filler, _FEW[largest], _seeds)


def _filler(few: Array, seed: int) -> Filler:
    generator = np.random.default_rng(seed)
    return lambda shape: np.asarray(generator.choice(few, shape), np.float32)


@dataclass(frozen=True)
class Chance:
    """What devices are like, at the ends of what headers may tell as often as not."""

    generator: np.random.Generator

    def number(self, least: float, most: float) -> float:
        """From ``least`` to ``most``, which are above 0; of all magnitudes between."""
        within = math.exp(self.generator.uniform(math.log(least), math.log(most)))
        return float(self.generator.choice([least, most, within]))

    def header(self, rule: Strategy) -> dict[str, Any]:
        """An update's samples, its weight for staleness, and what its rule needs to be told."""
        told: dict[UpdateFact, float] = {
            "num_steps": int(self.number(1, 2**31)),
            "learning_rate": self.number(1e-9, 100),
            "base_loss": self.number(1e-9, 1e6) - 1e-9,
        }
        return {
            "num_samples": int(self.number(1, 10**9)),
            "weight": polynomial_weight(int(self.number(1, 1000)) - 1, self.number(1e-3, 10)),
            "told": {fact: told[fact] for fact in rule.needs},
        }


@st.composite
def rounds(
    draw: st.DrawFn, rule: Strategy, state: ServerState | None = None, largest: float = LARGEST
) -> Drawn:
    """A round of devices, each with one update; some started from an older version."""
    fill = draw(fillers(largest))
    chance = Chance(np.random.default_rng(draw(_seeds)))
    number = least_updates(rule) + draw(st.integers(0, 4))
    now = ServerState(network(fill)) if state is None else state
    bases = [now.weights, now.weights, network(fill)]
    came = [
        Arrival(
            Update(
                device=f"device{index:02}",
                **chance.header(rule),
                **update_of(rule, network(fill), fill),
            ),
            bases[chance.generator.integers(3)],
        )
        for index in range(number)
    ]
    return Drawn(now, came, number + draw(st.integers(0, 3)))


@lru_cache
def rules(name: str) -> st.SearchStrategy[Strategy]:
    """A strategy with any parameters, often at their bounds."""
    kind = STRATEGIES[name]
    described = kind.model_json_schema().get("properties", {})
    values = {field: _values(told) for field, told in described.items() if _is_number(told)}
    return st.fixed_dictionaries({}, optional=values).map(kind.model_validate)


def _is_number(parameter: Mapping[str, Any]) -> bool:
    """Others keep their defaults."""
    return parameter.get("type") in ("number", "integer")


def _values(parameter: Mapping[str, Any]) -> st.SearchStrategy[float]:
    least, above = _bound(parameter, "minimum", "exclusiveMinimum")
    most, below = _bound(parameter, "maximum", "exclusiveMaximum")
    if parameter["type"] == "integer":
        return st.integers(int(least) + above, int(most) - below)
    inside = st.floats(least, most, exclude_min=above, exclude_max=below)
    bounds = [bound for bound, excluded in ((least, above), (most, below)) if not excluded]
    return inside | st.sampled_from(bounds) if bounds else inside


def _bound(parameter: Mapping[str, Any], within: str, without: str) -> tuple[float, bool]:
    """A parameter's bound, and whether it is itself not allowed."""
    return parameter[without if without in parameter else within], without in parameter
