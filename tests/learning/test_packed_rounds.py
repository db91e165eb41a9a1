"""Strategies whose devices keep something, with packed updates: they still come to the optimum.

Devices with losses of their own, 1/2·‖w - optimum_i‖², train with plain gradient descent; all else
is what runs: the parts of devices, files of packed updates, the rules.
"""

from pathlib import Path

import numpy as np
import pytest

from shared.federated.aggregation import Arrival, ServerState, Strategy
from shared.federated.aggregation.feddyn import FedDyn
from shared.federated.aggregation.scaffold import Scaffold
from shared.federated.packing import read_update, write_update
from shared.federated.policies import CompressionSettings
from shared.federated.update import Update
from shared.federated.weights import Array, Schema, apart, with_slots
from shared.learning.local import local_part
from shared.learning.local.part import Begun, Ended, Slots, Told
from tests.federated.packed import HEADER

DEVICES, SIZE, STEPS, RATE = 4, 200, 10, 0.1


def distances(
    rule: Strategy, settings: CompressionSettings, rounds: int, directory: Path
) -> tuple[float, float]:
    """How far the model is from everybody's optimum, before the first round and after the last."""
    generator, part = np.random.default_rng(1), local_part(rule)
    optima = [generator.standard_normal(SIZE, np.float32) for _ in range(DEVICES)]
    everybodys = np.mean(optima, axis=0)
    state = ServerState({"k": np.zeros(SIZE, np.float32)})
    kept: list[Slots] = [{}] * DEVICES
    owed: list[dict[str, Array]] = [{}] * DEVICES
    for number in range(rounds):
        base, arrivals = dict(state.weights), []
        sent = {slot: dict(state.slots[slot]) for slot in rule.sends if slot in state.slots}
        for device, optimum in enumerate(optima):
            begun = Begun(base, kept[device], sent)
            bent = part.correction(begun)
            assert bent is not None
            weights, gradients = base["k"].copy(), []
            for _ in range(STEPS):
                gradients.append(weights - optimum)
                added = bent.offset["k"] + bent.mu * (weights - base["k"])
                weights -= np.float32(RATE) * (gradients[-1] + added)
            mean: Array = np.asarray(np.mean(gradients, axis=0), np.float32)
            carried = part.carried(begun, Ended({"k": weights}, {"k": mean}))
            whole, file = with_slots({"k": weights}, carried), directory / "update"
            seed = number * DEVICES + device
            owed[device] = write_update(
                file, whole, base, HEADER, settings, seed, owed[device] if rule.owes else {}
            )
            plain, beside = apart(read_update(file, base, whole.schema))
            kept[device] = part.kept(begun, Told(dict(plain), beside))
            slots = {slot: dict(held) for slot, held in beside.items()}
            update = Update(f"device{device}", 10, dict(plain), carried=slots)
            arrivals.append(Arrival(update, base))
        made = rule.next(ServerState(base, slots=state.slots), arrivals, DEVICES)
        slots = {slot: dict(held) for slot, held in made.slots.items()}
        state = ServerState(dict(made.weights), slots=slots)
        assert Schema.of(state.weights) == Schema.of(base)
    first, last = (np.linalg.norm(each - everybodys) for each in (0, state.weights["k"]))
    return float(first), float(last)


@pytest.mark.parametrize("method", ["none", "float16", "int8"])
@pytest.mark.parametrize("rule", [Scaffold(), FedDyn(alpha=0.1)], ids=["scaffold", "feddyn"])
def test_rounding_changes_nothing_in_the_end(rule: Strategy, method: str, tmp_path: Path) -> None:
    settings = CompressionSettings.model_validate({"method": method})
    before, after = distances(rule, settings, 60, tmp_path)
    assert after < before / 100


def test_feddyn_comes_nearer_with_a_tenth_of_the_numbers(tmp_path: Path) -> None:
    """With what was left out owed besides it went further and further away."""
    settings = CompressionSettings(method="top_k", fraction=0.1)
    before, after = distances(FedDyn(alpha=1.0), settings, 60, tmp_path)
    assert after < before / 10


def test_scaffold_comes_nearer_with_a_tenth_of_the_numbers(tmp_path: Path) -> None:
    settings = CompressionSettings(method="top_k", fraction=0.1)
    before, after = distances(Scaffold(), settings, 120, tmp_path)
    assert after < before / 2
