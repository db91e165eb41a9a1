"""FedBN: batch normalisation stays on its device."""

from pydantic import Field

from shared.federated.aggregation.personal import Patterns, Personal


class FedBN(Personal):
    """FedAvg of all layers but batch normalisation, which stays on its device.

    Pictures of one device are brighter, or blurred: its own normalisation takes that out (Li et al.
    2021, arXiv:2102.07623). Of use where the task trains layers with batch normalisation.
    """

    name = "fedbn"
    title = "FedBN"
    paper = "Li et al. 2021, arXiv:2102.07623"

    layers: Patterns = Field(
        default=("*/gamma", "*/beta", "*/moving_mean", "*/moving_variance"),
        description="The arrays that stay, by name; * stands for anything.",
    )
