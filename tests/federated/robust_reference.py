"""Robust rules as a textbook has them: all updates as rows of one float64 array, slow and plain."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

#: (n, size): an update in each row.
Rows = npt.NDArray[np.float64]
#: What a rule makes of rows, their weights for staleness, and what they started from.
Rule = Callable[[Rows, Rows, Rows], Rows]


def median(rows: Rows, _weights: Rows, _base: Rows) -> Rows:
    result: Rows = np.median(rows, axis=0)
    return result


def trimmed_mean(rows: Rows, _weights: Rows, _base: Rows) -> Rows:
    left_out = len(rows) // 5
    result: Rows = np.sort(rows, axis=0)[left_out : len(rows) - left_out].mean(axis=0)
    return result


def scores(rows: Rows, bad: int) -> list[float]:
    """Krum's, of each row."""
    nearest = max(len(rows) - bad - 2, 1)
    found = []
    for number, row in enumerate(rows):
        others = np.delete(rows, number, axis=0)
        squares = sorted(float(((row - other) ** 2).sum()) for other in others)
        found.append(sum(squares[:nearest]))
    return found


def krum(rows: Rows, _weights: Rows, _base: Rows) -> Rows:
    bad = max(0, (len(rows) - 3) // 2)
    best: Rows = rows[int(np.argmin(scores(rows, bad)))]
    return best


def multi_krum(rows: Rows, _weights: Rows, _base: Rows) -> Rows:
    bad = max(0, (len(rows) - 3) // 2)
    best = np.argsort(scores(rows, bad), kind="stable")[: len(rows) - bad]
    result: Rows = rows[best].mean(axis=0)
    return result


def bulyan(rows: Rows, _weights: Rows, _base: Rows) -> Rows:
    bad = max(0, (len(rows) - 3) // 4)
    left, chosen = rows, []
    for _ in range(len(rows) - 2 * bad):
        best = int(np.argmin(scores(left, bad)))
        chosen.append(left[best])
        left = np.delete(left, best, axis=0)
    selected = np.sort(chosen, axis=0)  # of two that are equally near the smaller comes first
    far = np.abs(selected - np.median(selected, axis=0))
    nearest = np.argsort(far, axis=0, kind="stable")[: len(selected) - 2 * bad]
    result: Rows = np.take_along_axis(selected, nearest, axis=0).mean(axis=0)
    return result


def geometric_median(rows: Rows, weights: Rows, _base: Rows) -> Rows:
    point: Rows = np.average(rows, axis=0, weights=weights)
    for _ in range(1000):
        distances = np.linalg.norm(rows - point, axis=1)
        point = np.average(rows, axis=0, weights=weights / np.maximum(distances, 1e-6))
    return point


def norm_clipping(rows: Rows, weights: Rows, base: Rows) -> Rows:
    changes = rows - base
    norms = np.linalg.norm(changes, axis=1)
    kept = np.minimum(1, np.median(norms) / np.maximum(norms, 1e-300))
    result: Rows = np.average(base + changes * kept[:, None], axis=0, weights=weights)
    return result


RULES: Mapping[str, Rule] = {
    "median": median,
    "trimmed_mean": trimmed_mean,
    "krum": krum,
    "multi_krum": multi_krum,
    "bulyan": bulyan,
    "geometric_median": geometric_median,
    "norm_clipping": norm_clipping,
}
