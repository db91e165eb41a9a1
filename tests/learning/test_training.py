"""Training: it learns, it repeats, it stops when told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.federated.task import TrainingSettings
from shared.learning import training
from shared.learning.evaluation import NoPictures, evaluate
from shared.learning.network import Network, build_network
from shared.learning.training import History, TrainingCancelled, TrainingDiverged, train
from tests.learning.samples import make_pictures, make_task

SETTINGS = TrainingSettings(epochs=4, batch_size=16, learning_rate=0.003)


def learn(
    network: Network,
    pictures: Any,
    labels: Any,
    settings: TrainingSettings = SETTINGS,
    **changes: Any,
) -> History:
    """Train on pictures with what nobody asked about set to nothing."""
    arguments = {
        "seed": 1,
        "validation": None,
        "on_epoch": lambda *_: None,
        "cancelled": lambda: False,
    } | changes
    return train(network, network.extract(pictures), labels, settings, **arguments)


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("depth", "rate"), [("head", 0.03), ("block", 0.003), ("all", 0.003)])
def test_every_depth_learns(tmp_path: Path, depth: str, rate: float) -> None:
    network = build_network(make_task(trainable=depth), tmp_path)
    before = network.weights()
    settings = TrainingSettings(epochs=4, batch_size=16, learning_rate=rate)
    history = learn(network, *make_pictures(90), settings)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    unseen, labels = make_pictures(60, seed=2)
    assert evaluate(network, network.extract(unseen), labels).accuracy > 0.85
    after = network.weights()
    assert not [name for name in after if np.array_equal(after[name], before[name])]


@pytest.mark.parametrize("depth", ["head", "block"])
def test_the_frozen_part_does_not_move(tmp_path: Path, depth: str) -> None:
    """Batch norm too: its statistics would drift if it ran in training mode."""
    network = build_network(make_task(trainable=depth), tmp_path)
    pictures, labels = make_pictures(40)
    before = network.extract(pictures)
    learn(network, pictures, labels)
    np.testing.assert_array_equal(network.extract(pictures), before)


def test_equal_seeds_give_equal_bits(tmp_path: Path) -> None:
    pictures, labels = make_pictures(50)
    network = build_network(make_task(trainable="all"), tmp_path)
    results = []
    for _ in range(2):
        network.reset()
        results.append((learn(network, pictures, labels), network.weights()))
    assert results[0][0] == results[1][0]
    assert same(results[0][1], results[1][1])


def test_the_seed_decides_the_order(head: Network) -> None:
    pictures, labels = make_pictures(50)
    learn(head, pictures, labels, seed=1)
    once = head.weights()
    head.reset()
    learn(head, pictures, labels, seed=2)
    assert not same(once, head.weights())


def test_a_second_call_knows_nothing_of_the_first(block: Network) -> None:
    """Adam's moments in particular."""
    pictures, labels = make_pictures(50)
    learn(block, pictures, labels)
    once = block.weights()
    block.reset()
    learn(block, pictures, labels)
    assert same(once, block.weights())


def test_training_goes_on_from_the_weights_it_is_given(block: Network) -> None:
    """Not from the pretrained ones."""
    pictures, labels = make_pictures(50)
    learn(block, pictures, labels)
    given = block.weights()
    block.reset()
    block.load(given)
    slow = TrainingSettings(epochs=1, batch_size=16, learning_rate=1e-9)
    history = learn(block, pictures, labels, slow)
    assert history["loss"][0] < 0.3
    np.testing.assert_allclose(
        block.weights()["classes/kernel"], given["classes/kernel"], atol=1e-7
    )


def test_nothing_is_traced_twice(block: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    traces = []
    plain = block.tail.call

    def counting(*arguments: Any, **named: Any) -> Any:
        traces.append(named)
        return plain(*arguments, **named)

    monkeypatch.setattr(block.tail, "call", counting)
    pictures, labels = make_pictures(50)
    for epochs, batch_size, rate in ((1, 16, 0.001), (2, 16, 0.01), (1, 7, 0.001), (1, 64, 0.1)):
        settings = TrainingSettings(epochs=epochs, batch_size=batch_size, learning_rate=rate)
        learn(block, pictures, labels, settings, validation=(block.extract(pictures), labels))
    learn(block, pictures[:5], labels[:5])
    assert len(traces) == 1


def test_the_learning_rate_counts_without_a_new_trace(head: Network) -> None:
    pictures, labels = make_pictures(30)
    steps = []
    for rate in (0.001, 0.01):
        head.reset()
        before = head.weights()["classes/bias"]
        learn(head, pictures, labels, TrainingSettings(epochs=1, batch_size=30, learning_rate=rate))
        steps.append(np.abs(head.weights()["classes/bias"] - before).max())
    # The first step of Adam is as long as the learning rate.
    np.testing.assert_allclose(steps, [0.001, 0.01], rtol=0.01)


def test_a_smaller_last_batch_is_used(head: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, labels = make_pictures(20)
    learn(head, pictures[:1], labels[:1])
    sizes = []
    step = head.compiled.step

    def counting(features: Any, labels: Any) -> Any:
        sizes.append(int(features.shape[0]))
        return step(features, labels)

    compiled = training._Compiled(counting, head.compiled.optimizer)
    monkeypatch.setattr(head, "compiled", compiled)
    settings = TrainingSettings(epochs=1, batch_size=16, learning_rate=0.001)
    history = learn(head, pictures, labels, settings)
    assert sizes == [16, 4]
    assert history["accuracy"][0] * 20 == pytest.approx(round(history["accuracy"][0] * 20))


def test_history_and_reports_have_one_number_an_epoch(head: Network) -> None:
    pictures, labels = make_pictures(30)
    reports: list[tuple[int, dict[str, float]]] = []
    history = learn(
        head,
        pictures,
        labels,
        validation=(head.extract(pictures), labels),
        on_epoch=lambda epoch, metrics: reports.append((epoch, metrics)),
    )
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert [epoch for epoch, _ in reports] == [1, 2, 3, 4]
    for name, values in history.items():
        assert values == [metrics[name] for _, metrics in reports]
    measured = evaluate(head, head.extract(pictures), labels)
    assert history["val_loss"][-1] == measured.loss


@pytest.mark.parametrize("count", [None, 0])
def test_without_validation_pictures_there_is_no_validation(
    head: Network, count: int | None
) -> None:
    pictures, labels = make_pictures(10)
    nothing = None if count is None else (head.extract(pictures[:0]), labels[:0])
    assert set(learn(head, pictures, labels, validation=nothing)) == {"loss", "accuracy"}


def test_cancelled_between_epochs(block: Network) -> None:
    seen: list[int] = []
    before = block.weights()
    with pytest.raises(TrainingCancelled):
        learn(
            block,
            *make_pictures(30),
            on_epoch=lambda epoch, _: seen.append(epoch),
            cancelled=lambda: len(seen) == 2,
        )
    assert seen == [1, 2]
    assert same(before, block.weights())


def test_divergence_says_what_to_do_and_harms_nothing(block: Network) -> None:
    before = block.weights()
    before["classes/bias"][0] = np.inf
    block.load(before)
    with pytest.raises(TrainingDiverged, match=r"task sides .* lower than 0\.003"):
        learn(block, *make_pictures(30))
    assert same(before, block.weights())


def test_nothing_to_train_on(head: Network) -> None:
    pictures, labels = make_pictures(1)
    with pytest.raises(NoPictures, match="Task sides"):
        learn(head, pictures[:0], labels[:0])


def test_labels_and_features_belong_together(head: Network) -> None:
    pictures, labels = make_pictures(5)
    with pytest.raises(ValueError, match="5"):
        learn(head, pictures, labels[:4])
