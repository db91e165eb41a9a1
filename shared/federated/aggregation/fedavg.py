"""Federated averaging."""

from collections.abc import Sequence

from shared.federated.aggregation.blocks import Combined, in_order, weighted_mean
from shared.federated.update import Update


def fedavg(updates: Sequence[Update]) -> Combined:
    """Average updates, weighted by their number of samples (McMahan et al. 2017, arXiv:1602.05629).

    An update that came late counts less: its samples are multiplied by its ``weight``. Sums
    are float64 and run in order of device name: the order in which updates arrived changes no
    bit, and equal updates give exactly themselves.

    Args:
        updates: at least one; all of one schema; unchanged as long as the average is read.

    Returns:
        Weights of that schema, float32, computed as they are read: memory holds a few
        blocks, however many updates there are.
    """
    shares = [(update.num_samples * update.weight, update.weights) for update in in_order(updates)]
    return Combined(shares, weighted_mean)
