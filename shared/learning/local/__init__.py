"""The devices' part of strategies: of those that have one, one file each.

A strategy combines updates on the main server (shared/federated/aggregation); what it asks of a
device while that trains stands here.
"""

from shared.federated.aggregation import Strategy
from shared.federated.aggregation.feddyn import FedDyn
from shared.federated.aggregation.fedprox import FedProx
from shared.federated.aggregation.scaffold import Scaffold
from shared.learning.local.control_variates import ControlVariates
from shared.learning.local.dynamic import Dynamic
from shared.learning.local.part import Correction, LocalPart
from shared.learning.local.proximal import Proximal

__all__ = ["Correction", "LocalPart", "local_part"]


def local_part(rule: Strategy) -> LocalPart:
    """What a strategy asks of a device that trains."""
    match rule:
        case FedProx():
            return Proximal(rule)
        case Scaffold():
            return ControlVariates()
        case FedDyn():
            return Dynamic(rule)
    return LocalPart()
