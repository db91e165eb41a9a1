"""Tasks and update headers: what is allowed in them."""

import pytest
from pydantic import ValidationError

from shared.federated.task import Task
from shared.federated.update import BadHeader, UpdateHeader

GOOD = {
    "task": "digits",
    "device": "device1",
    "base_version": "3",
    "num_samples": "120",
    "metrics": '{"loss": 0.5, "accuracy": 0.9}',
    "fingerprint": "0" * 64,
}


def test_a_header_round_trips() -> None:
    header = UpdateHeader.parse(GOOD)
    assert header.num_samples == 120
    assert header.metrics == {"loss": 0.5, "accuracy": 0.9}
    assert UpdateHeader.parse(header.as_metadata()) == header


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_samples", "0"),
        ("num_samples", "-5"),
        ("num_samples", "1.5"),
        ("num_samples", "nan"),
        ("num_samples", str(2**40)),
        ("num_samples", "many"),
        ("base_version", "-1"),
        ("task", "../../etc/passwd"),
        ("device", "a/b"),
        ("device", ""),
        ("fingerprint", "xyz"),
        ("metrics", "[1]"),
        ("metrics", "not json"),
        ("metrics", '{"loss": NaN}'),
        ("metrics", '{"loss": "__import__(\'os\')"}'),
        ("surprise", "1"),
    ],
)
def test_a_bad_field_is_named(field: str, value: str) -> None:
    with pytest.raises(BadHeader, match=field):
        UpdateHeader.parse(GOOD | {field: value})


@pytest.mark.parametrize("field", sorted(GOOD))
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(BadHeader, match=field):
        UpdateHeader.parse({name: value for name, value in GOOD.items() if name != field})


def test_no_metadata_at_all() -> None:
    with pytest.raises(BadHeader):
        UpdateHeader.parse({})


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Digits!"},
        {"name": "../x"},
        {"classes": ["a"]},
        {"classes": ["a", "a"]},
        {"classes": ["a", "../b"]},
        {"classes": ["a", ".hidden"]},
        {"alpha": 0.3},
        {"image_size": 100},
        {"backbone": "file:../../x"},
        {"backbone": "internet"},
        {"trainable": "some"},
        {"strategy": "magic"},
        {"surprise": 1},
        {"training": {"epochs": 0}},
        {"training": {"learning_rate": float("nan")}},
    ],
)
def test_a_bad_task_is_refused(change: dict) -> None:
    good = {"name": "digits", "classes": ["0", "1"]}
    Task(**good)
    with pytest.raises(ValidationError):
        Task(**(good | change))
