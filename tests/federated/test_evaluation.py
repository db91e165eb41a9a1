"""What a device may tell of how good a version is."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.federated.evaluation import (
    MOST_CELLS,
    DeviceEvaluation,
    federated_confusion,
    recalls,
)

CONFUSION = [(0, 0, 3), (0, 2, 1), (2, 0, 2)]


def evaluation(confusion: Any, num_samples: int = 6) -> DeviceEvaluation:
    return DeviceEvaluation.model_validate(
        {"accuracy": 0.5, "loss": 1.5, "num_samples": num_samples, "confusion": confusion}
    )


def test_it_survives_json() -> None:
    told = evaluation(CONFUSION)
    assert told.confusion == CONFUSION
    assert DeviceEvaluation.model_validate_json(told.model_dump_json()) == told
    assert DeviceEvaluation(accuracy=1, loss=0, num_samples=1).confusion is None


@pytest.mark.parametrize(
    "confusion",
    [
        [(0, 0, 5)],  # one picture is missing
        [(0, 0, 7)],
        [],
        [(0, 2, 1), (0, 0, 3), (2, 0, 2)],  # not sorted
        [(0, 0, 3), (0, 0, 3)],
        [(0, 0, 6), (1, 1, 0)],
        [(0, 0, 7), (1, 1, -1)],
        [(0, 1000, 6)],
        [(-1, 0, 6)],
        [(0, 0, 1.5), (0, 1, 4.5)],
        [(0, 6)],
        "all",
        {"0": 6},
    ],
)
def test_a_bad_confusion_is_refused(confusion: Any) -> None:
    with pytest.raises(ValidationError, match="confusion"):
        evaluation(confusion)


def test_too_many_cells() -> None:
    cells = [(index // 1000, index % 1000, 1) for index in range(MOST_CELLS + 1)]
    assert evaluation(cells[:-1], MOST_CELLS).confusion == cells[:-1]
    with pytest.raises(ValidationError, match="confusion"):
        evaluation(cells, MOST_CELLS + 1)


def test_the_confusion_of_all_devices_is_their_sum() -> None:
    other = [(0, 0, 1), (1, 1, 4)]
    expected = [(0, 0, 4), (0, 2, 1), (1, 1, 4), (2, 0, 2)]
    assert federated_confusion([CONFUSION, other]) == expected
    assert federated_confusion([]) == []


def test_recalls() -> None:
    assert recalls(CONFUSION, 4) == [0.75, None, 0, None]
    assert recalls(CONFUSION, 2) == [0.75, None]
