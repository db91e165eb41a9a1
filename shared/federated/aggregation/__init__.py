"""How updates become the next version: one rule, one file.

Each turns a state, and the updates that came, into the next state. Strategies are of synchronous
rounds; docs/strategies.md shows how one is added. The rules of asynchronous tasks combine updates
as they arrive.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.federated.aggregation.bulyan import Bulyan
from shared.federated.aggregation.fedadagrad import FedAdagrad
from shared.federated.aggregation.fedadam import FedAdam
from shared.federated.aggregation.fedasync import fedasync
from shared.federated.aggregation.fedavg import FedAvg
from shared.federated.aggregation.fedavgm import FedAvgM
from shared.federated.aggregation.fedbn import FedBN
from shared.federated.aggregation.fedbuff import fedbuff
from shared.federated.aggregation.feddyn import FedDyn
from shared.federated.aggregation.fednova import FedNova
from shared.federated.aggregation.fedper import FedPer
from shared.federated.aggregation.fedprox import FedProx
from shared.federated.aggregation.fedyogi import FedYogi
from shared.federated.aggregation.geometric_median import GeometricMedian
from shared.federated.aggregation.krum import Krum
from shared.federated.aggregation.median import Median
from shared.federated.aggregation.multi_krum import MultiKrum
from shared.federated.aggregation.norm_clipping import NormClipping
from shared.federated.aggregation.q_ffl import QFFL
from shared.federated.aggregation.robust import TooFewForStrategy
from shared.federated.aggregation.running_average import running_average
from shared.federated.aggregation.scaffold import Scaffold
from shared.federated.aggregation.staleness import polynomial_weight
from shared.federated.aggregation.state import NUM_SAMPLES, Arrival, ServerState
from shared.federated.aggregation.strategy import (
    NothingShared,
    NothingStays,
    Strategy,
    described_field,
    link_of,
    told_in,
)
from shared.federated.aggregation.trimmed_mean import TrimmedMean
from shared.federated.policies import AsynchronousRule, AsynchronousSettings

__all__ = [
    "ASYNCHRONOUS_STRATEGIES",
    "NUM_SAMPLES",
    "STRATEGIES",
    "Arrival",
    "AsynchronousStrategy",
    "NothingShared",
    "NothingStays",
    "ServerState",
    "Strategy",
    "TooFewForStrategy",
    "polynomial_weight",
]

#: By the name that a task gives as its ``strategy``, in the order in which they are listed.
STRATEGIES: Mapping[str, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (
        FedAvg,
        FedProx,
        FedNova,
        Scaffold,
        FedDyn,
        QFFL,
        FedAvgM,
        FedAdagrad,
        FedAdam,
        FedYogi,
        Median,
        TrimmedMean,
        Krum,
        MultiKrum,
        Bulyan,
        GeometricMedian,
        NormClipping,
        FedBN,
        FedPer,
    )
}


@dataclass(frozen=True)
class AsynchronousStrategy:
    """A rule of asynchronous tasks.

    Attributes:
        title: what people call it.
        paper: as of a :class:`Strategy`; empty: there is none.
        summary: what it does, in a sentence.
        apply: the next state, of the newest one and the updates that make it.
        settings: the fields of AsynchronousSettings that it goes by.
        is_buffered: it takes ``buffer_size`` updates at a time; otherwise exactly one.
        weighs_staleness: an update counts less the staler it is.
    """

    title: str
    paper: str
    summary: str
    apply: Callable[[ServerState, Sequence[Arrival], AsynchronousSettings], ServerState]
    settings: tuple[str, ...]
    is_buffered: bool = False
    weighs_staleness: bool = True

    def needed(self, settings: AsynchronousSettings) -> int:
        """How many updates make a version."""
        return settings.buffer_size if self.is_buffered else 1

    def next(
        self, state: ServerState, arrivals: Sequence[Arrival], settings: AsynchronousSettings
    ) -> ServerState:
        """The state after some arrivals, at least one, in their order.

        More than one for a rule that is not buffered: what waited when the rule was changed.
        """
        if self.is_buffered:
            return self.apply(state, arrivals, settings)
        for arrival in arrivals:
            state = self.apply(state, [arrival], settings)
        return state

    def weight(self, staleness: int, settings: AsynchronousSettings) -> float:
        """By how much an update counts for its staleness."""
        if not self.weighs_staleness:
            return 1.0
        return polynomial_weight(staleness, settings.staleness_exponent)

    def described(self) -> dict[str, Any]:
        """What people are told of it, ready for JSON."""
        properties = AsynchronousSettings.model_json_schema()["properties"]
        return {
            "title": self.title,
            "paper": self.paper,
            "link": link_of(self.paper),
            "summary": self.summary,
            "explanation": "\n".join(told_in(self.apply.__doc__).values()).strip(),
            "parameters": [described_field(name, properties[name]) for name in self.settings],
        }


#: By the name that a task gives as its ``asynchronous.rule``.
ASYNCHRONOUS_STRATEGIES: Mapping[AsynchronousRule, AsynchronousStrategy] = {
    "running_average": AsynchronousStrategy(
        "Running average",
        "",
        "The global model is the mean of all that was ever sent.",
        running_average,
        ("most_staleness",),
        weighs_staleness=False,
    ),
    "fedasync": AsynchronousStrategy(
        "FedAsync",
        "Xie et al. 2019, arXiv:1903.03934",
        "Each update moves the global model towards itself, the less the staler it is.",
        fedasync,
        ("mixing", "staleness_exponent", "most_staleness"),
    ),
    "fedbuff": AsynchronousStrategy(
        "FedBuff",
        "Nguyen et al. 2022, arXiv:2106.06639",
        "A buffer of updates makes a version: the model moves by the mean of what they changed.",
        fedbuff,
        ("buffer_size", "server_learning_rate", "staleness_exponent", "most_staleness"),
        is_buffered=True,
    ),
}
