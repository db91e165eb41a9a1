"""FedAdagrad: Adagrad on the server."""

from pydantic import Field

from shared.federated.aggregation.adaptive import Adaptive, Numbers


class FedAdagrad(Adaptive):
    """Adagrad on the server: numbers that have changed much change less from then on.

    v ← v + Δ²,
    m ← β₁·m + (1 - β₁)·Δ and x ← x + η·m/(√v + τ), where Δ is the mean change, and v begins with τ²
    (Reddi et al. 2021, arXiv:2003.00295, algorithm 2). As in the paper there is no
    momentum, unless β₁ is set.
    """

    name = "fedadagrad"
    title = "FedAdagrad"

    beta_1: float = Field(
        default=0.0, ge=0, lt=1, description="β₁: how much of the mean change remains."
    )

    def second_moment(self, before: Numbers, square: Numbers) -> Numbers:
        """See :class:`Adaptive`."""
        return before + square
