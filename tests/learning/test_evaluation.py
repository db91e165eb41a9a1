"""Measuring, against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss

from shared.learning.evaluation import NoPictures, evaluate
from shared.learning.network import Network
from tests.learning.samples import make_pictures


def test_numbers_are_those_of_scikit_learn(head: Network) -> None:
    # Twice as many as the tail sees at once, and one.
    features = np.random.default_rng(1).random((513, 256), dtype=np.float32) * 4
    labels = np.random.default_rng(2).integers(0, 2, 513)
    logits = head.answer(features).astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    evaluation = evaluate(head, features, labels)
    assert evaluation.num_samples == 513
    assert evaluation.accuracy == accuracy_score(labels, chances.argmax(axis=1))
    assert evaluation.loss == pytest.approx(log_loss(labels, chances), rel=1e-6)
    expected = confusion_matrix(labels, chances.argmax(axis=1))
    np.testing.assert_array_equal(evaluation.confusion, expected)


def test_a_huge_logit_is_no_infinite_loss(head: Network) -> None:
    weights = head.weights()
    weights["classes/bias"][:] = [1e6, 0]
    head.load(weights)
    evaluation = evaluate(head, np.zeros((2, 256), np.float32), np.array([0, 1]))
    assert evaluation.loss == pytest.approx(5e5)
    assert evaluation.accuracy == 0.5


def test_nothing_to_measure_on(head: Network) -> None:
    pictures, labels = make_pictures(1)
    with pytest.raises(NoPictures):
        evaluate(head, head.extract(pictures[:0]), labels[:0])
