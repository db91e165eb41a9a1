"""What poisoned devices send. The first ones are poisoned; the others are honest.

They poison all that an update holds: its weights, and what it carries for its strategy. What they
tell of their training, the number of steps say, is true.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.virtual_devices import Attack
from shared.federated.update import Update
from shared.federated.weights import Array

#: How much larger a change with the other sign is made (Li et al. 2019, arXiv:1811.03761).
_FLIPPED = -4.0
_SCALED = 100.0
#: How many deviations away from the mean of the honest ones (Baruch et al. 2019, section 5).
_LITTLE = 1.5

#: What becomes of one array that all devices send, in their order: of the weights, with what they
#: started from; of a slot, which begins at zeros.
_OfOne = Callable[[Sequence[Array], Array], Array]


def random_weights(poisoned: int, seed: int) -> Attack:
    """They send numbers from a normal distribution of deviation 1."""
    generator = np.random.default_rng(seed)

    def attack(sent: list[Update], base: Mapping[str, Array]) -> list[Update]:
        def drawn(arrays: Sequence[Array], _: Array) -> Array:
            return generator.standard_normal(arrays[0].shape, np.float32)

        made = [_made(sent[each : each + 1], base, drawn) for each in range(poisoned)]
        return [*made, *sent[poisoned:]]

    return attack


def multiplied(poisoned: int, factor: float) -> Attack:
    """They send what they have learned, the change multiplied by a factor."""

    def changed(arrays: Sequence[Array], base: Array) -> Array:
        return base + np.float32(factor) * (arrays[0] - base)

    def attack(sent: list[Update], base: Mapping[str, Array]) -> list[Update]:
        made = [_made([each], base, changed) for each in sent[:poisoned]]
        return [*made, *sent[poisoned:]]

    return attack


def a_little_is_enough(poisoned: int) -> Attack:
    """All send the mean of the honest ones, minus 1.5 of their deviations, number by number.

    (Baruch et al. 2019, arXiv:1902.06156): no number is far from the others.
    """

    def shifted(arrays: Sequence[Array], _: Array) -> Array:
        every = np.stack(arrays)
        return np.asarray(every.mean(0) - _LITTLE * every.std(0), np.float32)

    def attack(sent: list[Update], base: Mapping[str, Array]) -> list[Update]:
        honest = sent[poisoned:]
        same = _made(honest, base, shifted)
        made = [
            replace(each, weights=same.weights, carried=same.carried) for each in sent[:poisoned]
        ]
        return [*made, *honest]

    return attack


def _made(updates: Sequence[Update], base: Mapping[str, Array], of_one: _OfOne) -> Update:
    """The first update with all its arrays made of those that some updates have."""
    first = updates[0]
    weights = {
        name: of_one([each.weights[name] for each in updates], base[name]) for name in first.weights
    }
    carried = {
        slot: {
            name: of_one([each.carried[slot][name] for each in updates], np.zeros_like(base[name]))
            for name in held
        }
        for slot, held in first.carried.items()
    }
    return replace(first, weights=weights, carried=carried)


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
