"""What strategies make is computed in blocks as it is read: wherever one reads, and in little
memory."""

import tracemalloc
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.federated.aggregation import STRATEGIES, Arrival, ServerState
from shared.federated.aggregation.blocks import BLOCK_NUMBERS
from shared.federated.aggregation.fedadam import FedAdam
from shared.federated.aggregation.fedbuff import fedbuff
from shared.federated.aggregation.state_file import open_state, write_state
from shared.federated.aggregation.streams import summed_change
from shared.federated.policies import AsynchronousSettings
from shared.federated.update import Update
from shared.federated.weights import (
    Array,
    StreamedWeights,
    open_weights,
    read_weights,
    streamed,
    write_weights,
)
from tests.federated.arrivals import came, numbers, state
from tests.federated.drawing import every_strategy
from tests.federated.rounds import content, seeded

#: More than one piece of what is written at a time, more than one block, a scalar, nothing at all.
SHAPES = {
    "conv/kernel": (256 * 1024 + 3,),
    "dense/kernel": (7, BLOCK_NUMBERS),
    "bn/gamma": (BLOCK_NUMBERS - 1,),
    "bn/moving_variance": (BLOCK_NUMBERS + 1,),
    "scale/scale": (),
    "scale/nothing": (0, 3),
}


@every_strategy
def test_it_does_not_matter_where_one_reads(name: str, tmp_path: Path) -> None:
    """Written by several threads, made whole, or read in pieces that fit no block."""
    rule = STRATEGIES[name]()
    drawn = seeded(rule, 2, seeded(rule, 1, shapes=SHAPES).next(rule), shapes=SHAPES)
    made = rule.next(drawn.state, drawn.arrivals, drawn.num_devices)
    whole = content(made)
    write_weights(tmp_path / "weights", made.weights)
    write_state(tmp_path / "state", made)
    with open_weights(tmp_path / "weights") as weights, open_state(tmp_path / "state") as slots:
        assert content(ServerState(weights, slots=slots)) == whole
    piece: Array = np.empty(BLOCK_NUMBERS + 12_345, np.float32)
    for array, start in (("conv/kernel", 1), ("conv/kernel", 98_765), ("dense/kernel", 30_000)):
        streamed(made.weights).read(array, start, piece)
        assert whole[array][4 * start :].startswith(piece.tobytes())


class Counted(StreamedWeights):
    """Weights that count how many numbers are read of them."""

    def __init__(self, weights: StreamedWeights) -> None:
        self.schema = weights.schema
        self.numbers = 0
        self._weights = weights

    def read(self, name: str, start: int, into: Array) -> None:
        self.numbers += into.size
        self._weights.read(name, start, into)


#: How often each update is read when weights are written, and when slots are. Slots lie one after
#: the other in their file, so each is a walk of its own; q-FFL measures a change before it weighs
#: it. Median and its kin may look more than once.
WALKS = {
    "feddyn": (2, 1),  # the mean of what was sent, and of what was changed
    "q_ffl": (2, 0),
    "fedavgm": (1, 1),
    "fedadagrad": (1, 2),
    "fedadam": (1, 2),
    "fedyogi": (1, 2),
}


@pytest.mark.parametrize(
    "name", [name for name, strategy in STRATEGIES.items() if strategy.kind != "robust"]
)
def test_how_often_updates_and_their_base_are_read(name: str, tmp_path: Path) -> None:
    rule = STRATEGIES[name]()
    drawn = seeded(rule, 1, shapes={"conv/kernel": (BLOCK_NUMBERS * 3 + 1,)}, number=5)
    size = BLOCK_NUMBERS * 3 + 1
    base = Counted(streamed(drawn.state.weights))
    updates = [Counted(streamed(each.update.weights)) for each in drawn.arrivals]
    came = [
        Arrival(replace(each.update, weights=counted), base)
        for each, counted in zip(drawn.arrivals, updates, strict=True)
    ]
    made = rule.next(ServerState(base), came, 5)
    write_weights(tmp_path / "weights", made.weights)
    walks = {counted.numbers / size for counted in updates}
    write_state(tmp_path / "state", made)
    all_walks = {counted.numbers / size for counted in updates}
    weights, slots = WALKS.get(name, (1, 0))
    assert (walks, all_walks) == ({weights}, {weights + slots})


def test_memory_holds_blocks_whatever_is_kept(tmp_path: Path) -> None:
    """FedAdam of 20 files of 8 MB: weights and both slots are written in a few megabytes."""
    generator = np.random.default_rng(1)
    model = {"dense/kernel": generator.standard_normal((2, 1024 * 1024), np.float32)}
    for name in ("update", "base"):
        write_weights(tmp_path / name, model)
    write_state(tmp_path / "before", ServerState(model, slots={"momentum": model, "root": model}))
    with ExitStack() as files:
        base = files.enter_context(open_weights(tmp_path / "base"))
        slots = files.enter_context(open_state(tmp_path / "before"))
        arrivals = [
            Arrival(
                Update(f"device{n:02}", 1, files.enter_context(open_weights(tmp_path / "update"))),
                base,
            )
            for n in range(20)
        ]
        tracemalloc.start()
        made = FedAdam().next(ServerState(base, slots=slots), arrivals, 20)
        write_weights(tmp_path / "weights", made.weights)
        write_state(tmp_path / "state", made)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # Of 184 MB that are read three times: some pieces of 1 MiB, and blocks for each thread.
    assert peak < 2 * model["dense/kernel"].nbytes
    kept = read_weights(tmp_path / "state")
    np.testing.assert_allclose(
        kept["momentum:dense/kernel"], np.float32(0.9) * model["dense/kernel"], rtol=1e-6
    )


def test_a_buffer_that_goes_too_far_stays_finite() -> None:
    """FedBuff's changes are added up in float64; what float32 does not have is its largest."""
    arrivals = [came([3e38, -3e38], base=[-3e38, 3e38])]
    made = fedbuff(state(3e38, 0.0), arrivals, AsynchronousSettings(server_learning_rate=100.0))
    most = float(np.finfo(np.float32).max)
    assert numbers(made) == [most, -most]


def test_sums_are_in_order_of_device_whichever_bases_they_share() -> None:
    """Float64 loses the 1 beside 1e20: it is lost, or not, whether two bases are one object."""
    old, new = {"a": np.zeros(1, np.float32)}, {"a": np.zeros(1, np.float32)}
    sent = [("device1", 1e20, old), ("device2", 1.0, new), ("device3", -1e20, old)]
    arrivals = [
        Arrival(Update(device, 1, {"a": np.array([number], np.float32)}), base)
        for device, number, base in sent
    ]
    copies = [Arrival(each.update, dict(each.base)) for each in arrivals]
    factors = [1.0, 1.0, 1.0]
    shared, apart = summed_change(arrivals, factors), summed_change(copies, factors)
    assert shared["a"].tolist() == apart["a"].tolist() == [0.0]
