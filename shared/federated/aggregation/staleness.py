"""How much an update counts that started from an older version than the newest."""


def polynomial_weight(staleness: int, exponent: float) -> float:
    """(1 + staleness)^-exponent: 1 for a fresh update, less the older its start.

    The polynomial staleness function of FedAsync (Xie et al. 2019, arXiv:1903.03934, section
    5.2); FedBuff's experiments use it with the exponent 0.5 (arXiv:2106.06639).

    Args:
        staleness: how many versions were made since the one that the update started from, at
            least 0.
        exponent: at least 0; with 0 staleness does not matter.

    Returns:
        A number above 0 and at most 1.
    """
    return float((1.0 + staleness) ** -exponent)
