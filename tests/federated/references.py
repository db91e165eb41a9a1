"""The strategies once more, plainly: float64, all in memory, straight from the papers.

Nothing here is shared with the code under test, nor with its order of computing. A model keeps its
own state in float64 from round to round.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.federated.aggregation import Arrival, ServerState, Strategy

Numbers = npt.NDArray[np.float64]
Arrays = dict[str, Numbers]


@dataclass(frozen=True)
class Sent:
    """What a device sent, and the version that it had started from."""

    device: str
    #: Its number of samples, and the weight for its staleness.
    samples: float
    weight: float
    weights: Arrays
    base: Arrays
    told: Mapping[Any, float]
    carried: Mapping[str, Arrays]

    @classmethod
    def of(cls, arrival: Arrival) -> "Sent":
        """An arrival in float64."""
        update = arrival.update
        return cls(
            update.device,
            update.num_samples,
            update.weight,
            exact(update.weights),
            exact(arrival.base),
            update.told,
            {slot: exact(held) for slot, held in update.carried.items()},
        )

    @property
    def counts(self) -> float:
        """By how much it counts where samples matter."""
        return self.samples * self.weight

    def change(self, name: str) -> Numbers:
        """What it changed of an array."""
        return self.weights[name] - self.base[name]


@dataclass(frozen=True)
class Model:
    """The global model, and what the server keeps beside it."""

    weights: Arrays
    slots: dict[str, Arrays] = field(default_factory=dict)

    @classmethod
    def of(cls, state: ServerState) -> "Model":
        """A state in float64."""
        slots = {slot: exact(held) for slot, held in state.slots.items()}
        return cls(exact(state.weights), slots)

    def slot(self, slot: str, name: str, value: float = 0.0) -> Numbers:
        """A slot's array; before the first round all ``value``."""
        if slot in self.slots:
            return self.slots[slot][name]
        return np.full_like(self.weights[name], value)


@dataclass(frozen=True)
class Round:
    """What a round's rule is given: parameters by name, and how many devices there are."""

    model: Model
    sent: Sequence[Sent]
    devices: int
    given: Mapping[str, Any]

    def mean_change(self, name: str) -> Numbers:
        """The mean of what was changed, by samples."""
        return np.average(
            [each.change(name) for each in self.sent],
            axis=0,
            weights=[each.counts for each in self.sent],
        )

    def mean(self, name: str) -> Numbers:
        """The mean of what was sent, by samples."""
        return np.average(
            [each.weights[name] for each in self.sent],
            axis=0,
            weights=[each.counts for each in self.sent],
        )


#: Of one trained array: its next numbers, and those of each slot.
Rule = Callable[[Round, str], tuple[Numbers, dict[str, Numbers]]]


def fedavg(told: Round, name: str) -> tuple[Numbers, dict[str, Numbers]]:
    """McMahan et al., algorithm 1: w = Σ n_k/n · w_k. FedProx's server, FedBN's and FedPer's."""
    return told.mean(name), {}


def fednova(told: Round, name: str) -> tuple[Numbers, dict[str, Numbers]]:
    """Wang et al.: d_i is the change by step, and τ_eff = Σ p_i·τ_i; none far from the median."""
    shares = np.array([each.counts for each in told.sent])
    shares = shares / shares.sum()
    steps = np.array([each.told["num_steps"] for each in told.sent])
    steps = np.clip(steps, np.median(steps) / 100, 100 * np.median(steps))
    by_step = [each.change(name) / own for each, own in zip(told.sent, steps, strict=True)]
    return told.model.weights[name] + shares @ steps * np.tensordot(shares, by_step, axes=1), {}


def scaffold(told: Round, name: str) -> tuple[Numbers, dict[str, Numbers]]:
    """Karimireddy et al., algorithm 1, lines 16 and 17; the mean of the weights is by samples."""
    control = np.sum([each.carried["control"][name] for each in told.sent], axis=0)
    return (
        told.model.weights[name] + told.given["server_learning_rate"] * told.mean_change(name),
        {"control": told.model.slot("control", name) + control / told.devices},
    )


def feddyn(told: Round, name: str) -> tuple[Numbers, dict[str, Numbers]]:
    """Acar et al., algorithm 1; what came late counts less in the mean of the weights."""
    alpha, weights = told.given["alpha"], [each.weight for each in told.sent]
    changes = np.sum([each.change(name) for each in told.sent], axis=0)
    drift = told.model.slot("drift", name) - alpha * changes / told.devices
    middle = np.average([each.weights[name] for each in told.sent], axis=0, weights=weights)
    return middle - drift / alpha, {"drift": drift}


def q_ffl(told: Round, name: str) -> tuple[Numbers, dict[str, Numbers]]:
    """Li et al., algorithm 2: Δ_k = F_k^q·Δw_k and h_k = q·F_k^(q-1)·‖Δw_k‖² + L·F_k^q."""
    q, numerator, denominator = told.given["q"], np.zeros_like(told.model.weights[name]), 0.0
    for each in told.sent:
        loss, lipschitz = max(each.told["base_loss"], 1e-10), 1 / each.told["learning_rate"]
        square = sum(
            np.sum((lipschitz * each.change(other)) ** 2) for other in trained(each.weights)
        )
        numerator += each.counts * loss**q * lipschitz * each.change(name)
        denominator += each.counts * (q * loss ** (q - 1) * square + lipschitz * loss**q)
    return told.model.weights[name] + numerator / denominator, {}


def fedavgm(told: Round, name: str) -> tuple[Numbers, dict[str, Numbers]]:
    """Hsu et al., section 4.3, with a server learning rate as in Reddi et al."""
    momentum = told.given["momentum"] * told.model.slot("momentum", name) + told.mean_change(name)
    return told.model.weights[name] + told.given["server_learning_rate"] * momentum, {
        "momentum": momentum
    }


def adaptive(second_moment: Callable[[float, Numbers, Numbers], Numbers]) -> Rule:
    """Reddi et al., algorithm 2, whose lines for v differ. A slot keeps √v."""

    def rule(told: Round, name: str) -> tuple[Numbers, dict[str, Numbers]]:
        tau, beta, change = told.given["tau"], told.given["beta_1"], told.mean_change(name)
        momentum = beta * told.model.slot("momentum", name) + (1 - beta) * change
        before = told.model.slot("root", name, tau) ** 2
        root = np.sqrt(second_moment(told.given.get("beta_2", 0.0), before, change**2))
        step = told.given["server_learning_rate"] * momentum / (root + tau)
        return told.model.weights[name] + step, {"momentum": momentum, "root": root}

    return rule


REFERENCES: Mapping[str, Rule] = {
    "fedavg": fedavg,
    "fedprox": fedavg,
    "fedbn": fedavg,
    "fedper": fedavg,
    "fednova": fednova,
    "scaffold": scaffold,
    "feddyn": feddyn,
    "q_ffl": q_ffl,
    "fedavgm": fedavgm,
    "fedadagrad": adaptive(lambda _, v, square: v + square),
    "fedadam": adaptive(lambda beta, v, square: beta * v + (1 - beta) * square),
    "fedyogi": adaptive(lambda beta, v, square: v - (1 - beta) * square * np.sign(v - square)),
}

#: What stays on devices, by the ends of names.
STAYS: Mapping[str, tuple[str, ...]] = {
    "fedbn": ("/gamma", "/beta", "/moving_mean", "/moving_variance"),
    "fedper": ("classes/kernel", "classes/bias"),
}


def next_model(rule: Strategy, model: Model, sent: Sequence[Sent], devices: int) -> Model:
    """The next model: trained arrays by the rule, statistics as means, what stays as it is."""
    told = Round(model, sorted(sent, key=lambda each: each.device), devices, rule.model_dump())
    weights, slots = {}, dict[str, Arrays]()
    for name, before in model.weights.items():
        if name.endswith(STAYS.get(rule.name, ())):
            weights[name] = before
        elif name.endswith(("/moving_mean", "/moving_variance")):
            weights[name] = told.mean(name)
        else:
            weights[name], made = REFERENCES[rule.name](told, name)
            for slot, array in made.items():
                slots.setdefault(slot, {})[name] = array
    return Model(weights, slots)


def exact(weights: Mapping[str, Any]) -> Arrays:
    """Arrays in float64."""
    return {name: np.asarray(weights[name], np.float64) for name in weights}


def trained(names: Mapping[str, Any]) -> list[str]:
    """Those that are no statistics."""
    return [name for name in names if not name.endswith(("/moving_mean", "/moving_variance"))]
