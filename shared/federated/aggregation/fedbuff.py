"""FedBuff: a buffer of updates makes a version; each tells what it changed."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from shared.federated.aggregation.blocks import Blocks, Combined, Source
from shared.federated.aggregation.state import Arrival, ServerState, with_samples
from shared.federated.policies import AsynchronousSettings


def fedbuff(
    state: ServerState, arrivals: Sequence[Arrival], settings: AsynchronousSettings
) -> ServerState:
    """x ← x + η/K · Σ s(τ)·(x_i - base_i) (Nguyen et al. 2022, arXiv:2106.06639, algorithm 1).

    K is the number of arrivals, η the server's learning rate, s(τ) each update's weight, and
    base_i the version that it started from. Numbers of samples do not matter. Sums are float64,
    in order of device name and, of one device, of arrival: the order in which devices' updates
    arrived changes no bit.

    Args:
        arrivals: at least one.
        settings: its ``server_learning_rate`` is η.

    Returns:
        The next state, its weights computed as they are read.
    """
    rate = settings.server_learning_rate / len(arrivals)
    pairs: list[tuple[Source, Source]] = [
        ((rate * each.update.weight, each.update.weights), (0.0, each.base))
        for each in sorted(arrivals, key=lambda arrival: arrival.update.device)
    ]
    sources = [(1.0, state.weights), *chain.from_iterable(pairs)]
    return ServerState(Combined(sources, _moved_by_changes), with_samples(state, arrivals))


def _moved_by_changes(blocks: Blocks) -> npt.NDArray[np.float64]:
    """The first source, plus the change of each pair after it: an update, then its base."""
    walk = iter(blocks)
    _, server = next(walk)
    moved = server.astype(np.float64)
    change = np.empty(blocks.size, np.float64)
    for share, update in walk:
        np.copyto(change, update)
        _, base = next(walk)
        # Subtracted before it is multiplied: what did not change adds exactly nothing.
        change -= base
        change *= share
        moved += change
    return moved
