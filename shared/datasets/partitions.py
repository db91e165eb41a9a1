"""How one data set is split over simulated devices."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: The indices of each device's samples, in ascending order.
Partition = list[npt.NDArray[np.int64]]

_MOST_DRAWS = 1000


def split_evenly(
    labels: Sequence[int] | npt.NDArray[np.int64], devices: int, seed: int
) -> Partition:
    """Independent and identically distributed: shuffled, in equal parts.

    Args:
        labels: (n,), one class index for each sample.
        devices: at most n.

    Returns:
        For each device its samples' indices; sizes differ by one at most.
    """
    if not 1 <= devices <= len(labels):
        raise ValueError(f"{len(labels)} samples cannot be split over {devices} devices")
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    return [np.sort(each).astype(np.int64) for each in np.array_split(shuffled, devices)]


def split_by_dirichlet(
    labels: Sequence[int] | npt.NDArray[np.int64],
    devices: int,
    alpha: float,
    seed: int,
    least: int = 10,
) -> Partition:
    """Each class is dealt out in shares that are drawn from a Dirichlet distribution.

    The smaller alpha, the fewer classes most devices have, and the less alike their sizes are
    (the sampling of Hsu et al. 2019, arXiv:1909.06335, class by class as in Yurochkin et al. 2019,
    arXiv:1905.12022).

    Args:
        labels: (n,), one class index for each sample.
        alpha: above 0; 0.1 is far from alike, 100 nearly alike.
        least: no device has fewer samples: it is drawn again until that is so.

    Returns:
        For each device its samples' indices; each sample is one device's.

    Raises:
        ValueError: it was not so after 1,000 draws.
    """
    told = np.asarray(labels)
    generator = np.random.default_rng(seed)
    for _ in range(_MOST_DRAWS):
        parts: list[list[int]] = [[] for _ in range(devices)]
        for each in np.unique(told):
            members = generator.permutation(np.flatnonzero(told == each))
            shares = generator.dirichlet(np.full(devices, alpha))
            ends = np.round(np.cumsum(shares) * len(members)).astype(int)[:-1]
            for part, dealt in zip(parts, np.split(members, ends), strict=True):
                part.extend(dealt.tolist())
        if min(map(len, parts)) >= least:
            return [np.sort(np.array(part, np.int64)) for part in parts]
    raise ValueError(
        f"with alpha {alpha:g} none of {_MOST_DRAWS} draws gave each of {devices} devices "
        f"{least} samples"
    )
