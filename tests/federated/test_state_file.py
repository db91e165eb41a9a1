"""What a strategy keeps, in a file: it goes on from there as if nothing had been."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.federated.aggregation import ServerState
from shared.federated.aggregation.fedadam import FedAdam
from shared.federated.aggregation.fedavg import FedAvg
from shared.federated.aggregation.state_file import open_state, write_state
from shared.federated.weights import (
    SchemaMismatch,
    UnreadableWeights,
    open_weights,
    read_weights,
    write_weights,
)
from tests.federated.drawing import every_strategy, rounds, rules, some
from tests.federated.rounds import content, seeded


@every_strategy
@given(data=st.data())
@some
def test_a_state_that_was_saved_goes_on_bit_for_bit(
    name: str, data: st.DataObject, tmp_path: Path
) -> None:
    """Weights and slots in files, the rest as JSON; no interruption is where all is computed as
    it is read, from the first round to the last."""
    rule = data.draw(rules(name))
    first = data.draw(rounds(rule))
    made = rule.next(first.state, first.arrivals, first.num_devices)
    second = data.draw(rounds(rule, made))
    whole = rule.next(made, second.arrivals, second.num_devices)
    write_weights(tmp_path / "weights", made.weights)
    assert write_state(tmp_path / "state", made) == write_state(tmp_path / "again", made)
    kept = json.dumps(dict(made.kept))
    with open_weights(tmp_path / "weights") as weights, open_state(tmp_path / "state") as slots:
        resumed = rule.next(
            ServerState(weights, json.loads(kept), slots),
            [
                replace(each, base=weights) if each.base is made.weights else each
                for each in second.arrivals
            ],
            second.num_devices,
        )
        assert content(resumed) == content(whole)
        assert resumed.kept == whole.kept


def test_a_file_has_slots_by_name_and_nothing_else(tmp_path: Path) -> None:
    made = seeded(FedAdam(), 1).next(FedAdam())
    write_state(tmp_path / "state", made)
    names = {f"{slot}:{name}" for slot in ("momentum", "root") for name in made.slots[slot]}
    assert read_weights(tmp_path / "state").keys() == names
    with open_state(tmp_path / "state") as slots:
        assert slots.keys() == {"momentum", "root"}
        np.testing.assert_array_equal(
            slots["root"]["conv/kernel"], made.slots["root"]["conv/kernel"]
        )


def test_what_keeps_nothing_has_an_empty_file(tmp_path: Path) -> None:
    write_state(tmp_path / "state", seeded(FedAvg(), 1).next(FedAvg()))
    with open_state(tmp_path / "state") as slots:
        assert slots == {}


def test_other_files_are_no_states(tmp_path: Path) -> None:
    write_weights(tmp_path / "version", seeded(FedAvg(), 1).state.weights)
    with pytest.raises(SchemaMismatch, match="is of no slot"), open_state(tmp_path / "version"):
        pass
    (tmp_path / "short").write_bytes((tmp_path / "version").read_bytes()[:-1])
    with pytest.raises(UnreadableWeights), open_state(tmp_path / "short"):
        pass
