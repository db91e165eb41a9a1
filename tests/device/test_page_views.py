"""What the device's page shows: words, rows and points."""

from typing import Any

import pytest

from shared.device import page_views


def status(**changes: Any) -> dict[str, Any]:
    """A task of GET /status, which has everything and does nothing."""
    return {
        "job": None,
        "can_train": True,
        "num_samples": {"train": 3, "valid": 0, "test": 1},
        "version": 4,
        "evaluation": {"accuracy": 0.5, "loss": 1.0, "num_samples": 2},
        "pending": None,
    } | changes


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ("done", "version 4, 50.0\N{NO-BREAK SPACE}%")),
        ({"evaluation": None}, ("done", "version 4")),
        ({"version": None}, ("waiting", "no model yet")),
        ({"job": {"kind": "modeltrain"}}, ("running", "training")),
        ({"can_train": False}, ("failed", "has a problem")),
        (
            {"can_train": False, "num_samples": {"train": 0, "valid": 0, "test": 0}},
            ("waiting", "no pictures"),
        ),
    ],
)
def test_a_task_in_short(changes: dict[str, Any], told: tuple[str, str]) -> None:
    assert page_views.tab("digits", status(**changes)) == ("digits", *told)


def test_the_step_that_comes_next() -> None:
    waits = {"sent": False, "base_version": 4}
    assert page_views.next_step(status()) == "modeltrain"
    assert page_views.next_step(status(pending=waits)) == "sendmodel"
    assert page_views.next_step(status(pending=waits | {"sent": True})) == "modeltrain"
    assert page_views.next_step(status(pending=waits | {"base_version": 3})) == "modeltrain"
    assert page_views.next_step(status(can_train=False)) is None


def test_a_class_with_few_pictures_is_named() -> None:
    def counts(train: int, test: int = 0) -> dict[str, int]:
        return {"train": train, "valid": 0, "test": test}

    classes = {"many": counts(90), "few": counts(8), "tested": counts(0, 2), "none": counts(0)}
    rows = page_views.balance(classes)
    assert [row.remark for row in rows] == [None, "rare", "none to train on", "none yet"]
    assert [row.total for row in rows] == [90, 8, 2, 0]
    assert [row.remark for row in page_views.balance({"a": counts(0)})] == ["none yet"]


def test_curves_leave_out_what_is_no_number() -> None:
    history = {"loss": [2.0, float("nan")], "val_loss": [float("inf"), 1.0], "accuracy": [0.5, 1.0]}
    assert page_views.curves(history, "loss") == [
        {"name": "training", "points": [2.0, None]},
        {"name": "validation", "points": [None, 1.0]},
    ]
    assert page_views.curves(history, "accuracy") == [{"name": "training", "points": [0.5, 1.0]}]
    assert page_views.curves({}, "loss") == []


def test_a_confusion_as_rows() -> None:
    confusion = [(0, 0, 3), (0, 1, 1), (1, 1, 2)]
    cat, dog, bird = page_views.confusion_table(confusion, ["cat", "dog", "bird"])
    assert [cell.number for cell in cat.cells] == [3, 1, 0]
    assert [cell.shade for cell in cat.cells] == [4, 2, 0]
    assert (cat.recall, cat.pictures) == (0.75, 4)
    assert (dog.recall, dog.pictures) == (1.0, 2)
    assert (bird.recall, bird.pictures) == (None, 0)
    assert page_views.mistakes(confusion, ["cat", "dog", "bird"]) == [("cat", "dog", 1)]


def test_a_confusion_of_very_many_classes_has_no_cells() -> None:
    classes = [str(number) for number in range(1000)]
    confusion = [(number, 999 - number, 1 + number % 7) for number in range(1000)]
    rows = page_views.confusion_table(confusion, classes)
    assert len(rows) == 1000
    assert not any(row.cells for row in rows)
    worst = page_views.mistakes(confusion, classes)
    assert len(worst) == 20
    assert worst[0].times == 7
