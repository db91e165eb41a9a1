"""FedPer: the last layers stay on their device."""

from pydantic import Field

from shared.federated.aggregation.personal import Patterns, Personal


class FedPer(Personal):
    """FedAvg of the first layers; the last ones stay on their device and fit its own pictures.

    (Arivazhagan et al. 2019, arXiv:1912.00818.) Of use where the task trains more than its head.
    """

    name = "fedper"
    title = "FedPer"
    paper = "Arivazhagan et al. 2019, arXiv:1912.00818"

    layers: Patterns = Field(
        default=("classes/*",),
        description="The arrays that stay, by name; * stands for anything.",
    )
