"""FedYogi: Yogi on the server."""

import numpy as np
from pydantic import Field

from shared.federated.aggregation.adaptive import Adaptive, Numbers


class FedYogi(Adaptive):
    """Adam on the server whose second moment forgets slowly when changes become small.

    v ← v - (1 - β₂)·Δ²·sign(v - Δ²),
    m ← β₁·m + (1 - β₁)·Δ and x ← x + η·m/(√v + τ), where Δ is the mean change, and v begins with τ²
    (Reddi et al. 2021, arXiv:2003.00295, algorithm 2).
    """

    name = "fedyogi"
    title = "FedYogi"

    beta_2: float = Field(
        default=0.99, ge=0, lt=1, description="β₂: one minus how fast the second moment moves."
    )

    def second_moment(self, before: Numbers, square: Numbers) -> Numbers:
        """See :class:`Adaptive`."""
        return before - (1 - self.beta_2) * square * np.sign(before - square)
