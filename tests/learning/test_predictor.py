"""Answering for single pictures, also beside a training."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.federated.task import TrainingSettings
from shared.federated.weights import SchemaMismatch, write_weights
from shared.learning.network import Network, build_network
from shared.learning.predictor import Predictor
from shared.learning.training import train
from tests.learning.samples import make_pictures, make_task

KINDS: dict[str, dict[str, Any]] = {
    "head": {},
    "block": {"trainable": "block"},
    "all": {"trainable": "all"},
    "catdog_cnn": {"architecture": "catdog_cnn"},
}


def saved(network: Network, path: Path) -> Path:
    write_weights(path, network.weights())
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_what_the_network_answers(tmp_path: Path, kind: str) -> None:
    task = make_task(**KINDS[kind])
    network = build_network(task, tmp_path)
    network.load({name: array * 1.1 for name, array in network.weights().items()})
    predictor = Predictor(task, tmp_path)
    predictor.load(saved(network, tmp_path / "weights"))
    for picture in make_pictures(5)[0]:
        logits = network.answer(network.extract(picture[np.newaxis]))[0].astype(np.float64)
        expected = np.exp(logits) / np.exp(logits).sum()
        probabilities = predictor.probabilities(picture)
        assert probabilities.dtype == np.float64
        assert probabilities.sum() == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_huge_logits_are_no_trouble(head: Network, tmp_path: Path) -> None:
    weights = head.weights()
    weights["classes/bias"][:] = [-1e6, 1e6]
    head.load(weights)
    predictor = Predictor(head.task, tmp_path)
    predictor.load(saved(head, tmp_path / "weights"))
    assert predictor.probabilities(make_pictures(1)[0][0]).tolist() == [0, 1]


def test_a_file_is_read_once_until_it_changes(
    head: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = 0
    plain = Network.load

    def counting(network: Network, weights: Any) -> None:
        nonlocal loads
        loads += 1
        plain(network, weights)

    predictor = Predictor(head.task, tmp_path)
    picture = make_pictures(1)[0][0]
    first = saved(head, tmp_path / "first")
    monkeypatch.setattr(Network, "load", counting)
    for _ in range(3):
        predictor.load(first)
    before = predictor.probabilities(picture)
    assert loads == 1
    changed = {name: array * -1 for name, array in head.weights().items()}
    write_weights(first, changed)
    predictor.load(first)
    assert loads == 2
    np.testing.assert_allclose(predictor.probabilities(picture), before[::-1], atol=1e-5)


def test_foreign_weights_change_nothing(head: Network, tmp_path: Path) -> None:
    predictor = Predictor(head.task, tmp_path)
    good = saved(head, tmp_path / "good")
    predictor.load(good)
    write_weights(tmp_path / "foreign", {"classes/kernel": np.zeros((2, 2), np.float32)})
    before = predictor.probabilities(make_pictures(1)[0][0])
    with pytest.raises(SchemaMismatch):
        predictor.load(tmp_path / "foreign")
    np.testing.assert_array_equal(predictor.probabilities(make_pictures(1)[0][0]), before)


def in_a_thread(function: Callable[[], None]) -> Callable[[], None]:
    """Start it; the answer waits for its end and raises what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> None:
        thread.join(timeout=120)
        assert not thread.is_alive()
        if raised:
            raise raised[0]

    return wait


def test_building_and_answering_beside_networks_that_are_built_traced_and_trained(
    tmp_path: Path,
) -> None:
    """Neither changes a bit of the other's, whatever Keras and TensorFlow keep globally."""
    pictures, labels = make_pictures(60)
    tasks = {kind: make_task(**KINDS[kind]) for kind in ("head", "block", "catdog_cnn")}

    def learned(kind: str) -> dict[str, Any]:
        network = build_network(tasks[kind], tmp_path)
        features = network.extract(pictures)
        settings = TrainingSettings(epochs=2)
        train(network, features, labels, settings, 1, None, lambda *_: None, lambda: False)
        return network.weights()

    files = {
        kind: saved(build_network(task, tmp_path), tmp_path / kind) for kind, task in tasks.items()
    }

    def answered(kind: str) -> Any:
        predictor = Predictor(tasks[kind], tmp_path)
        predictor.load(files[kind])
        return np.stack([predictor.probabilities(picture) for picture in pictures[:10]])

    trained_alone = {kind: learned(kind) for kind in tasks}
    answered_alone = {kind: answered(kind) for kind in tasks}
    trained_beside: dict[str, Any] = {}
    answers: list[tuple[str, Any]] = []
    ended = threading.Event()

    def train_all() -> None:
        try:
            for kind in tasks:
                trained_beside[kind] = learned(kind)
        finally:
            ended.set()

    def answer_all() -> None:
        while not ended.is_set():
            answers.extend((kind, answered(kind)) for kind in reversed(tasks))

    for wait in (in_a_thread(train_all), in_a_thread(answer_all), in_a_thread(answer_all)):
        wait()
    for kind, weights in trained_alone.items():
        assert list(trained_beside[kind]) == list(weights)
        for name, array in weights.items():
            np.testing.assert_array_equal(trained_beside[kind][name], array)
    assert len(answers) >= 2 * len(tasks)
    for kind, answer in answers:
        np.testing.assert_array_equal(answer, answered_alone[kind])
