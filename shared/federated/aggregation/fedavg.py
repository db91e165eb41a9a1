"""Federated averaging."""

from collections.abc import Sequence

import numpy as np

from shared.federated.update import Update
from shared.federated.weights import Array


def fedavg(updates: Sequence[Update]) -> dict[str, Array]:
    """Average updates, weighted by their number of samples (McMahan et al. 2017, arXiv:1602.05629).

    Sums are float64 and run in order of device name: the order in which updates
    arrived changes no bit, and equal updates give exactly themselves.

    Args:
        updates: at least one; all of one schema. One array of one update is read at
            a time, so memory holds the result and two arrays however many there are.

    Returns:
        Weights of that schema, float32.
    """
    ordered = sorted(updates, key=lambda update: update.device)
    total = sum(update.num_samples for update in ordered)
    average: dict[str, Array] = {}
    for name in ordered[0].weights:
        first = ordered[0]
        weighted_sum = first.weights[name].astype(np.float64) * first.num_samples
        for update in ordered[1:]:
            weighted_sum += update.weights[name].astype(np.float64) * update.num_samples
        average[name] = (weighted_sum / total).astype(np.float32)
    return average
