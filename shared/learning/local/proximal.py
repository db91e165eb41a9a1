"""A device's part of FedProx: it is held near the version that it started from."""

from shared.federated.aggregation.fedprox import FedProx
from shared.learning.local.part import Begun, Correction, LocalPart


class Proximal(LocalPart):
    """Each gradient gets μ·(w - x), that of μ/2·‖w - x‖² (Li et al. 2020, arXiv:1812.06127)."""

    def __init__(self, rule: FedProx) -> None:
        self._rule = rule

    def correction(self, begun: Begun) -> Correction | None:
        """See :class:`LocalPart`."""
        return Correction(begun.base, mu=self._rule.mu) if self._rule.mu else None
