"""A device's part of FedDyn: its bent loss."""

from shared.federated.aggregation.feddyn import FedDyn
from shared.learning.local.part import Begun, Correction, LocalPart, Slots, Told, slot

#: What a device keeps: the h_i of the paper, the gradient of its loss where its last round ended.
_GRADIENT = "gradient"


class Dynamic(LocalPart):
    """Each gradient gets -h_i + α·(w - x) (Acar et al. 2021, arXiv:2111.04263)."""

    def __init__(self, rule: FedDyn) -> None:
        self._alpha = rule.alpha

    def correction(self, begun: Begun) -> Correction | None:
        """See :class:`LocalPart`."""
        gradient = slot(begun.kept, _GRADIENT, begun.base)
        return Correction(begun.base, {name: -gradient[name] for name in gradient}, self._alpha)

    def kept(self, begun: Begun, told: Told) -> Slots:
        """h_i - α·(w - x)."""
        before = slot(begun.kept, _GRADIENT, begun.base)
        after = {
            name: before[name] - self._alpha * (told.weights[name] - begun.base[name])
            for name in before
        }
        return {_GRADIENT: after}
