"""A device's part of SCAFFOLD: its control variate."""

from shared.federated.aggregation.scaffold import CONTROL
from shared.learning.local.part import Begun, Correction, Ended, Learned, LocalPart, slot


class ControlVariates(LocalPart):
    """Each gradient g becomes g - c_i + c (Karimireddy et al. 2020, arXiv:1910.06378).

    After a training c_i is the mean gradient of its steps. For plain SGD that is what the paper's
    option II computes, c_i - c + (x - y)/(K·η); so it means the same whatever makes the steps.
    """

    def correction(self, begun: Begun) -> Correction | None:
        """See :class:`LocalPart`."""
        own = slot(begun.kept, CONTROL, begun.base)
        everybodys = slot(begun.sent, CONTROL, begun.base)
        return Correction(begun.base, {name: everybodys[name] - own[name] for name in own})

    def learned(self, begun: Begun, ended: Ended) -> Learned:
        """Kept is c_i; carried, by how much it has changed."""
        before, now = slot(begun.kept, CONTROL, begun.base), ended.mean_gradient
        changed = {name: now[name] - before[name] for name in now}
        return Learned({CONTROL: now}, {CONTROL: changed})
