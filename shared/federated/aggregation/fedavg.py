"""Federated averaging."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shared.federated.aggregation.blocks import Blocks, Combined
from shared.federated.update import Update


def fedavg(updates: Sequence[Update]) -> Combined:
    """Average updates, weighted by their number of samples (McMahan et al. 2017, arXiv:1602.05629).

    Sums are float64 and run in order of device name: the order in which updates
    arrived changes no bit, and equal updates give exactly themselves.

    Args:
        updates: at least one; all of one schema; unchanged as long as the average is read.

    Returns:
        Weights of that schema, float32, computed as they are read: memory holds a few
        blocks, however many updates there are.
    """
    return Combined(updates, _weighted_mean)


def _weighted_mean(blocks: Blocks) -> npt.NDArray[np.float64]:
    weighted_sum = np.full(blocks.size, -0.0)  # what added to any number, -0 too, changes no bit
    product = np.empty(blocks.size, np.float64)
    total = 0
    for num_samples, block in blocks:
        # Copying to float64 first is faster than a product that converts as it goes.
        np.copyto(product, block)
        product *= num_samples
        weighted_sum += product
        total += num_samples
    weighted_sum /= total
    return weighted_sum
