"""FedProx: devices are held near the version that they started from."""

from pydantic import Field

from shared.federated.aggregation.fedavg import FedAvg


class FedProx(FedAvg):
    """Averages as FedAvg does; each device is held near the version that it started from.

    A device adds μ/2·‖w - x‖² to its loss, x being the version that it started from (Li et al.
    2020, arXiv:1812.06127): shared/learning/local/proximal.py. With μ = 0 it is FedAvg.
    """

    name = "fedprox"
    title = "FedProx"
    paper = "Li et al. 2020, arXiv:1812.06127"

    mu: float = Field(
        default=0.01, ge=0, le=1000, description="How strongly: μ, of the term μ/2·‖w - x‖²."
    )
