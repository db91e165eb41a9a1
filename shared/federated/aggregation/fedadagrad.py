"""FedAdagrad: Adagrad on the server."""

from shared.federated.aggregation.adaptive import Adaptive, Numbers


class FedAdagrad(Adaptive):
    """Adagrad on the server: numbers that have changed much change less from then on.

    v ← v + Δ² (Reddi et al. 2021, arXiv:2003.00295, algorithm 2). The paper sets β₁ = 0.
    """

    name = "fedadagrad"
    title = "FedAdagrad"

    def second_moment(self, before: Numbers, square: Numbers) -> Numbers:
        """See :class:`Adaptive`."""
        return before + square
