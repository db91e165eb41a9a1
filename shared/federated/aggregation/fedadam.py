"""FedAdam: Adam on the server."""

from pydantic import Field

from shared.federated.aggregation.adaptive import Adaptive, Numbers


class FedAdam(Adaptive):
    """Adam on the server: each number moves by what rounds agree on, measured by how it varies.

    v ← β₂·v + (1 - β₂)·Δ²,
    m ← β₁·m + (1 - β₁)·Δ and x ← x + η·m/(√v + τ), where Δ is the mean change, and v begins with τ²
    (Reddi et al. 2021, arXiv:2003.00295, algorithm 2).
    """

    name = "fedadam"
    title = "FedAdam"

    beta_2: float = Field(
        default=0.99, ge=0, lt=1, description="β₂: how much of the second moment remains."
    )

    def second_moment(self, before: Numbers, square: Numbers) -> Numbers:
        """See :class:`Adaptive`."""
        return self.beta_2 * before + (1 - self.beta_2) * square
