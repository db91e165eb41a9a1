"""A device's part of SCAFFOLD: its control variate."""

from shared.federated.aggregation.scaffold import CONTROL
from shared.learning.local.part import Begun, Correction, Ended, LocalPart, Slots, Told, slot


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

    def carried(self, begun: Begun, ended: Ended) -> Slots:
        """By how much c_i changes."""
        before, now = slot(begun.kept, CONTROL, begun.base), ended.mean_gradient
        return {CONTROL: {name: now[name] - before[name] for name in now}}

    def kept(self, begun: Begun, told: Told) -> Slots:
        """c_i. What was not told of a change is part of the next one."""
        before, changed = slot(begun.kept, CONTROL, begun.base), told.carried[CONTROL]
        return {CONTROL: {name: before[name] + changed[name] for name in before}}
