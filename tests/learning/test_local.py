"""What strategies ask of a device that trains: numbers by hand, and files in and out."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.federated.aggregation.feddyn import FedDyn
from shared.federated.aggregation.fedprox import FedProx
from shared.federated.aggregation.scaffold import Scaffold
from shared.federated.aggregation.strategy import NothingShared, NothingStays
from shared.federated.task import Task, TrainingSettings
from shared.federated.update import UpdateHeader
from shared.federated.weights import open_arrays, read_weights, with_slots, write_weights
from shared.learning.local import Correction, local_part
from shared.learning.local.kept import Files, personal_layers, slots_of
from shared.learning.local.part import Begun, Ended, Told
from shared.learning.local_training import Callbacks, Labelled, train_for
from shared.learning.network import Network, build_network
from shared.learning.training import train
from tests.learning.samples import make_pictures, make_task

ONE_STEP = TrainingSettings(epochs=1, batch_size=64, learning_rate=0.5, optimizer="sgd")
STEPS = TrainingSettings(epochs=3, batch_size=8, learning_rate=0.05, optimizer="sgd")
COUNT = 20
QUIET = Callbacks(lambda *_: None, lambda: False)


def numbers(*values: float) -> dict[str, Any]:
    return {"a": np.array(values, np.float32)}


def learn(network: Network, settings: TrainingSettings, correction: Correction | None) -> Any:
    """The weights after a training from those that the network was built with."""
    network.reset()
    pictures, labels = make_pictures(COUNT)
    train(
        network,
        network.extract(pictures),
        labels,
        settings,
        1,
        None,
        QUIET.on_epoch,
        QUIET.cancelled,
        None,
        correction,
    )
    return network.weights()


def like(weights: Any, seed: int) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    return {
        name: generator.standard_normal(array.shape, np.float32) for name, array in weights.items()
    }


def test_a_correction_is_added_to_each_gradient(head: Network) -> None:
    before = head.weights()
    plain = learn(head, ONE_STEP, None)
    anchor, offset = like(before, 1), like(before, 2)
    bent = learn(head, ONE_STEP, Correction(anchor, offset, mu=0.25))
    for name in before:
        added = offset[name] + 0.25 * (before[name] - anchor[name])
        np.testing.assert_allclose(bent[name], plain[name] - 0.5 * added, rtol=1e-4, atol=1e-5)


def test_no_correction_is_no_change(head: Network) -> None:
    before = head.weights()
    plain, bent = learn(head, STEPS, None), learn(head, STEPS, Correction(before))
    for name in before:
        np.testing.assert_allclose(bent[name], plain[name], rtol=1e-5, atol=1e-6)


def test_the_mean_gradient_is_what_option_ii_of_scaffold_computes(head: Network) -> None:
    """c_i - c + (x - y)/(K·η) = mean gradient, where each step was along g - c_i + c."""
    before = head.weights()
    own, everybodys = like(before, 3), like(before, 4)
    begun = Begun(before, {"control": own}, {"control": everybodys})
    part = local_part(Scaffold())
    after = learn(head, STEPS, part.correction(begun))
    mean = head.training_loop.mean_gradient()
    steps = STEPS.epochs * math.ceil(COUNT / STEPS.batch_size)
    for name in before:
        option_ii = (
            own[name]
            - everybodys[name]
            + (before[name] - after[name]) / (steps * STEPS.learning_rate)
        )
        np.testing.assert_allclose(mean[name], option_ii, rtol=1e-3, atol=1e-4)
    carried = part.carried(begun, Ended(after, mean))
    kept = part.kept(begun, Told(after, carried))
    for name in before:
        np.testing.assert_array_equal(carried["control"][name], mean[name] - own[name])
        np.testing.assert_allclose(kept["control"][name], mean[name], rtol=1e-6, atol=1e-6)


def test_scaffold_by_hand() -> None:
    part = local_part(Scaffold())
    begun = Begun(numbers(1, 1), {"control": numbers(2, 0)}, {"control": numbers(5, 3)})
    correction = part.correction(begun)
    assert correction is not None
    assert correction.offset["a"].tolist() == [3, 3]  # c - c_i
    assert correction.mu == 0
    carried = part.carried(begun, Ended(numbers(0, 0), numbers(4, 1)))
    assert carried["control"]["a"].tolist() == [2, 1]  # by how much c_i has changed
    kept = part.kept(begun, Told(numbers(0, 0), carried))
    assert kept["control"]["a"].tolist() == [4, 1]  # the mean gradient
    # Of what packing has left out nothing is kept: it is part of the next change.
    kept = part.kept(begun, Told(numbers(0, 0), {"control": numbers(2, 0)}))
    assert kept["control"]["a"].tolist() == [4, 0]
    first = part.correction(Begun(numbers(1, 1), {}, {}))
    assert first is not None
    assert first.offset["a"].tolist() == [0, 0]


def test_feddyn_by_hand() -> None:
    part = local_part(FedDyn(alpha=0.5))
    begun = Begun(numbers(1, 2), {"gradient": numbers(4, -2)}, {})
    correction = part.correction(begun)
    assert correction is not None
    assert (correction.offset["a"].tolist(), correction.mu) == ([-4, 2], 0.5)
    assert correction.anchor["a"].tolist() == [1, 2]
    # h_i - 0.5·(w - x), of the w that was told: 4 - 0.5·2 = 3 and -2 - 0.5·(-2) = -1
    kept = part.kept(begun, Told(numbers(3, 0), {}))
    assert kept["gradient"]["a"].tolist() == [3, -1]
    assert not part.carried(begun, Ended(numbers(3, 0), numbers(9, 9)))


def test_fedprox_by_hand() -> None:
    begun = Begun(numbers(1, 2), {}, {})
    correction = local_part(FedProx(mu=0.25)).correction(begun)
    assert correction == Correction(begun.base, mu=0.25)
    assert local_part(FedProx(mu=0)).correction(begun) is None


def test_what_was_kept_of_another_network_counts_as_nothing() -> None:
    begun = Begun(numbers(1, 2), {"gradient": numbers(4, -2, 1)}, {})
    correction = local_part(FedDyn()).correction(begun)
    assert correction is not None
    assert correction.offset["a"].tolist() == [0, 0]


class Desk:
    """A device's files, and trainings from one to the next."""

    def __init__(self, folder: Path, **task: Any) -> None:
        self.task: Task = make_task(**task)
        self.network = build_network(self.task, folder)
        self.folder, self.number = folder, 0
        self.version = self.write_version(0, self.network.weights())

    def write_version(self, number: int, weights: Any, **metadata: str) -> Path:
        file = self.folder / f"version{number}"
        write_weights(file, weights, {"version": str(number)} | metadata)
        return file

    def train(self, **files: Path | None) -> Files:
        self.number += 1
        base = files.pop("base", None) or self.version
        start = files.pop("start", None) or base
        made = Files(
            start=start,
            base=base,
            update=self.folder / f"update{self.number}",
            keeps=self.folder / f"keeps{self.number}",
            **files,
        )
        pictures, labels = make_pictures(COUNT)
        train_for(
            self.task,
            self.network,
            made,
            Labelled(self.network.extract(pictures), labels),
            STEPS,
            1,
            {"device": "door", "base_version": 0, "num_samples": COUNT},
            QUIET,
        )
        return made


def header(files: Files) -> UpdateHeader:
    with open_arrays(files.update) as opened:
        return UpdateHeader.parse(opened.metadata)


def test_fedavg_keeps_nothing_and_tells_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    made = desk.train()
    assert not made.keeps.exists()
    told = header(made)
    assert (told.strategy, told.told, told.packing) == (None, {}, None)
    assert read_weights(made.update).keys() == desk.network.weights().keys()


def test_the_same_again_is_the_same_bytes(tmp_path: Path) -> None:
    desk = Desk(tmp_path, strategy="scaffold")
    first = desk.train()
    second = desk.train(kept=first.keeps)
    again = desk.train(kept=first.keeps)
    assert second.update.read_bytes() == again.update.read_bytes()
    assert second.keeps.read_bytes() == again.keeps.read_bytes()
    assert second.update.read_bytes() != first.update.read_bytes()  # it was corrected


@pytest.mark.parametrize(
    ("strategy", "facts"),
    [("fednova", {"num_steps"}), ("q_ffl", {"base_loss", "learning_rate"}), ("fedadam", set())],
)
def test_an_update_tells_what_its_strategy_needs(
    tmp_path: Path, strategy: str, facts: set[str]
) -> None:
    made = Desk(tmp_path, strategy=strategy).train()
    told = header(made)
    assert told.strategy == strategy
    assert set(told.told) == facts
    if "num_steps" in facts:
        assert told.num_steps == 3 * 3  # 20 pictures in batches of 8, three times
    if "base_loss" in facts:
        assert told.base_loss == pytest.approx(math.log(2), rel=0.5)


def test_steps_add_up_where_an_own_update_is_trained_on(tmp_path: Path) -> None:
    desk = Desk(tmp_path, strategy="fednova")
    first = desk.train()
    second = desk.train(start=first.update)
    assert header(second).num_steps == 18
    for name, array in read_weights(first.update).items():
        assert not np.array_equal(array, read_weights(second.update)[name])


def test_layers_that_stay_are_kept_and_trained_on(tmp_path: Path) -> None:
    desk = Desk(tmp_path, architecture="catdog_cnn", strategy="fedper", trainable="all", alpha=None)
    rule = desk.task.rule
    first = desk.train()
    assert not [name for name in read_weights(first.update) if name.startswith("classes/")]
    own = personal_layers(rule, desk.version, first.keeps)
    assert own.keys() == {"classes/kernel", "classes/bias"}
    again = desk.train(kept=first.keeps)
    anew = desk.train()
    assert header(again).metrics["loss"] < header(anew).metrics["loss"]
    # An own update that could not be sent is trained on as a whole.
    on = desk.train(start=first.update, start_kept=first.keeps)
    assert header(on).metrics["loss"] < header(first).metrics["loss"]


def test_what_is_kept_belongs_to_the_strategy_and_its_beginning(tmp_path: Path) -> None:
    desk = Desk(tmp_path, strategy="feddyn")
    first = desk.train()
    weights = read_weights(desk.version)
    same = desk.write_version(5, weights, strategy="feddyn", began="0")
    chosen_anew = desk.write_version(6, weights, strategy="feddyn", began="3")
    by_another = desk.write_version(7, weights, strategy="fedavg", began="0")
    fresh = desk.train(base=same).update.read_bytes()
    assert desk.train(base=same, kept=first.keeps).update.read_bytes() != fresh
    for version in (chosen_anew, by_another):
        fresh = desk.train(base=version).update.read_bytes()
        assert desk.train(base=version, kept=first.keeps).update.read_bytes() == fresh


def test_the_variate_that_came_with_the_version_is_used(tmp_path: Path) -> None:
    desk = Desk(tmp_path, strategy="scaffold")
    sent = tmp_path / "sent"
    write_weights(sent, with_slots({}, {"control": like(desk.network.weights(), 5)}))
    assert desk.train(sent=sent).update.read_bytes() != desk.train().update.read_bytes()


def test_a_strategy_that_would_share_nothing_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path, strategy="fedper")  # it trains its head alone
    with pytest.raises(NothingShared, match="leave all of the network on the devices"):
        desk.train()


def test_a_strategy_that_would_leave_nothing_here_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path, strategy="fedbn")  # it trains its head alone
    with pytest.raises(NothingStays, match=r"There are classes/bias, classes/kernel"):
        desk.train()
    assert slots_of(None) == {}


@pytest.mark.parametrize("method", ["float16", "int8", "top_k"])
@pytest.mark.parametrize("strategy", ["fedavg", "scaffold"])
def test_a_packed_update_and_what_it_owes(tmp_path: Path, method: str, strategy: str) -> None:
    desk = Desk(tmp_path, strategy=strategy, compression={"method": method, "fraction": 0.1})
    first = desk.train()
    assert header(first).packing == method
    kept = slots_of(first.keeps)
    assert ("residual" in kept) == (method == "top_k")
    assert kept["own"].keys() == desk.network.weights().keys()
    # What it learned is trained on as it is, not as it was rounded for the way.
    on = desk.train(start=first.update, start_kept=first.keeps)
    again = desk.train(start=first.update, start_kept=first.keeps)
    assert on.update.read_bytes() == again.update.read_bytes()
    assert header(on).metrics["loss"] < header(first).metrics["loss"]


def test_what_is_owed_goes_with_the_next_update_of_any_strategy(tmp_path: Path) -> None:
    desk = Desk(tmp_path, compression={"method": "top_k", "fraction": 0.1})
    first = desk.train()
    weights = read_weights(desk.version)
    for number, metadata in enumerate(({}, {"strategy": "scaffold", "began": "1"}), start=3):
        version = desk.write_version(number, weights, **metadata)
        owed = desk.train(base=version, kept=first.keeps).update.read_bytes()
        assert owed != desk.train(base=version).update.read_bytes()
