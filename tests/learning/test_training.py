"""Training: it learns, it repeats, it stops when told."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from shared.federated.task import TrainingSettings
from shared.learning.evaluation import NoPictures, evaluate
from shared.learning.network import Network, build_network
from shared.learning.training import History, TrainingCancelled, TrainingDiverged, train
from shared.learning.training_loop import order
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
    assert [trace["training"] for trace in traces] == [True, False]


@pytest.mark.parametrize(
    ("optimizer", "depth", "epochs", "batch_size", "rounding"),
    [
        ("adam", "head", 3, 16, 1e-4),
        ("adam", "block", 3, 16, 0.02),
        ("adam", "all", 1, 25, 0.02),
        ("sgd", "block", 3, 16, 1e-4),
    ],
)
def test_it_is_what_a_plain_keras_loop_does(
    tmp_path: Path, optimizer: Any, depth: str, epochs: int, batch_size: int, rounding: float
) -> None:
    """Keras's own step, optimiser and loss, given the same samples in the same order.

    Adam makes a step of full length of a gradient that is nothing but rounding, so what is
    compared is how far the two ends are from one another, as a part of the way. With all
    layers trained Keras's own eager and compiled steps are 3 % apart after four small
    batches, so these are two large ones.
    """
    network = build_network(make_task(trainable=depth), tmp_path)
    pictures, labels = make_pictures(50)
    features, start = network.extract(pictures), network.weights()
    settings = TrainingSettings(
        epochs=epochs, batch_size=batch_size, learning_rate=0.0003, optimizer=optimizer
    )
    history = learn(network, pictures, labels, settings, seed=7)
    ours = network.weights()
    network.reset()
    model = network.tail
    model.compile(
        {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}[optimizer](0.0003),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for epoch in range(1, settings.epochs + 1):
        rows = order(len(labels), 7, epoch).numpy()
        losses = []
        for begin in range(0, len(rows), settings.batch_size):
            batch = rows[begin : begin + settings.batch_size]
            model.reset_metrics()
            losses.append(len(batch) * model.train_on_batch(features[batch], labels[batch]))
        mean = sum(losses) / len(rows)
        assert history["loss"][epoch - 1] == pytest.approx(mean, rel=rounding)
    for name, theirs in network.weights().items():
        apart = np.linalg.norm(ours[name] - theirs) / np.linalg.norm(theirs - start[name])
        assert apart < rounding, name


def test_every_epoch_takes_every_sample_once_in_an_order_of_its_own() -> None:
    orders = [order(50, seed, epoch).numpy() for seed, epoch in ((1, 1), (1, 2), (2, 1))]
    for each in orders:
        assert sorted(each) == list(range(50))
    assert len({tuple(each) for each in orders}) == 3


def test_cancelled_within_an_epoch(block: Network) -> None:
    """Of a long one, without waiting for its end."""
    pictures, labels = make_pictures(20)
    features, many = block.extract(pictures), 20_000
    asked: list[int] = []
    settings = TrainingSettings(epochs=1, batch_size=1, learning_rate=0.001)
    before = block.weights()

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) == 4

    with pytest.raises(TrainingCancelled):
        train(
            block,
            np.resize(features, (many, *block.feature_shape)),
            np.resize(labels, many),
            settings,
            1,
            None,
            lambda *_: pytest.fail("the epoch ended"),
            cancelled,
        )
    assert same(before, block.weights())


def test_a_look_tells_how_far_the_epoch_is(block: Network) -> None:
    pictures, labels = make_pictures(40)
    features, many = block.extract(pictures), 4000
    told: list[tuple[float, float, float]] = []
    history = train(
        block,
        np.resize(features, (many, *block.feature_shape)),
        np.resize(labels, many),
        TrainingSettings(epochs=2, batch_size=1, learning_rate=0.001),
        1,
        None,
        lambda *_: None,
        lambda: False,
        lambda *look: told.append(look),
    )
    epochs = [look[0] for look in told]
    assert epochs == sorted(epochs)
    assert epochs[0] == pytest.approx(1 / many)  # after its first batch
    assert any(0.01 < epoch < 1 for epoch in epochs)
    assert epochs[-1] <= 2
    # What is told last in an epoch is nearly what the epoch comes to.
    last = max(look for look in told if look[0] <= 1)
    assert last[1] == pytest.approx(history["loss"][0], rel=0.5)
    assert last[2] == pytest.approx(history["accuracy"][0], abs=0.1)


def test_what_a_report_raises_ends_the_training(head: Network) -> None:
    def fail(_epoch: int, _metrics: dict[str, float]) -> None:
        raise KeyError("the reader is gone")

    with pytest.raises(KeyError, match="the reader is gone"):
        learn(head, *make_pictures(30), on_epoch=fail)


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


def test_a_training_may_have_another_optimizer_than_the_one_before(block: Network) -> None:
    pictures, labels = make_pictures(30)
    ends = []
    for optimizer in ("adam", "sgd", "adam"):
        block.reset()
        learn(block, pictures, labels, SETTINGS.model_copy(update={"optimizer": optimizer}))
        ends.append(block.weights())
    assert same(ends[0], ends[2])
    assert not same(ends[0], ends[1])


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
    assert history["val_loss"][-1] == pytest.approx(measured.loss, rel=1e-6)
    assert history["val_accuracy"][-1] == measured.accuracy


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
