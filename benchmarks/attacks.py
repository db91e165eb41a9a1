"""What poisoned devices send. The first ones are poisoned; the others are honest."""

from collections.abc import Mapping

import numpy as np

from benchmarks.virtual_devices import Attack
from shared.federated.weights import Array

#: How much larger a change with the other sign is made (Li et al. 2019, arXiv:1811.03761).
_FLIPPED = -4.0
_SCALED = 100.0
#: How many deviations away from the mean of the honest ones (Baruch et al. 2019, section 5).
_LITTLE = 1.5


def random_weights(poisoned: int, seed: int) -> Attack:
    """They send numbers from a normal distribution of deviation 1."""
    generator = np.random.default_rng(seed)

    def attack(sent: list[dict[str, Array]], _: Mapping[str, Array]) -> list[dict[str, Array]]:
        made = [
            {
                name: generator.standard_normal(array.shape, np.float32)
                for name, array in one.items()
            }
            for one in sent[:poisoned]
        ]
        return [*made, *sent[poisoned:]]

    return attack


def multiplied(poisoned: int, factor: float) -> Attack:
    """They send what they have learned, the change multiplied by a factor."""

    def attack(sent: list[dict[str, Array]], base: Mapping[str, Array]) -> list[dict[str, Array]]:
        made = [
            {name: base[name] + np.float32(factor) * (one[name] - base[name]) for name in one}
            for one in sent[:poisoned]
        ]
        return [*made, *sent[poisoned:]]

    return attack


def a_little_is_enough(poisoned: int) -> Attack:
    """All send the mean of the honest ones, minus 1.5 of their deviations, number by number.

    (Baruch et al. 2019, arXiv:1902.06156): no number is far from the others.
    """

    def attack(sent: list[dict[str, Array]], _: Mapping[str, Array]) -> list[dict[str, Array]]:
        honest, made = sent[poisoned:], {}
        for name in honest[0]:
            every = np.stack([one[name] for one in honest])
            made[name] = np.asarray(every.mean(0) - _LITTLE * every.std(0), np.float32)
        return [*([made] * poisoned), *honest]

    return attack


def attack_of(name: str, poisoned: int, seed: int) -> Attack | None:
    """An attack by its name; None where it is in the data, or nobody is poisoned."""
    if not poisoned or name == "flipped labels":
        return None
    if name == "random weights":
        return random_weights(poisoned, seed)
    if name == "a little is enough":
        return a_little_is_enough(poisoned)
    return multiplied(poisoned, {"sign flipped": _FLIPPED, "scaled": _SCALED}[name])


ATTACKS = ("random weights", "sign flipped", "scaled", "flipped labels", "a little is enough")
