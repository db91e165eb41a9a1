"""What FedAdagrad, FedAdam and FedYogi share: all but how the second moment goes on."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from shared.federated.aggregation.state import Arrival, ServerState
from shared.federated.aggregation.strategy import Strategy, by_samples
from shared.federated.aggregation.streams import elementwise, mean_change

Numbers = npt.NDArray[np.float64]

_MOMENTUM = "momentum"
#: The root of the second moment: squares of large changes are beyond float32.
_ROOT = "root"


class Adaptive(Strategy):
    """A server optimiser with a learning rate for each number of the network.

    m ← β₁·m + (1 - β₁)·Δ and x ← x + η·m/(√v + τ), where Δ is the mean change, and v begins with τ²
    (Reddi et al. 2021, arXiv:2003.00295, algorithm 2).
    """

    paper = "Reddi et al. 2021, arXiv:2003.00295"
    kind = "server optimiser"
    counts_unchanged = True

    server_learning_rate: float = Field(
        default=0.01, gt=0, le=10, description="η: how far one round moves each number, about."
    )
    beta_1: float = Field(
        default=0.9, ge=0, lt=1, description="β₁: how much of the mean change remains."
    )
    tau: float = Field(
        default=0.001,
        ge=1e-9,
        le=1,
        description="τ: changes that are much smaller are not blown up.",
    )

    @abstractmethod
    def second_moment(self, before: Numbers, square: Numbers) -> Numbers:
        """How v goes on: of its numbers so far, and the squares of the mean change."""

    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.combine`."""
        change = mean_change(arrivals, by_samples(arrivals))

        def momentum(before: Numbers, changed: Numbers) -> Numbers:
            return self.beta_1 * before + (1 - self.beta_1) * changed

        def root(before: Numbers, changed: Numbers) -> Numbers:
            return np.sqrt(self.second_moment(before**2, changed**2))

        def step(numbers: Numbers, momentum: Numbers, root: Numbers) -> Any:
            return numbers + self.server_learning_rate * momentum / (root + self.tau)

        slots = {
            _MOMENTUM: elementwise(momentum, state.slot(_MOMENTUM), change),
            _ROOT: elementwise(root, state.slot(_ROOT, self.tau), change),
        }
        weights = elementwise(step, state.weights, slots[_MOMENTUM], slots[_ROOT])
        return ServerState(weights, slots=slots)
