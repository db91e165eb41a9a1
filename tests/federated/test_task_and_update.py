"""Tasks and update headers: what is allowed in them."""

import json

import pytest
from pydantic import ValidationError

from shared.federated.task import Task
from shared.federated.update import BadHeader, UpdateHeader, short_history

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


def test_a_history_goes_with_it_unless_it_is_long() -> None:
    history = {"loss": [0.123456789, 0.1], "val_accuracy": [0.5, 1.0]}
    short = short_history(history)
    assert short == {"loss": [0.123457, 0.1], "val_accuracy": [0.5, 1.0]}
    header = UpdateHeader.parse(GOOD | {"history": json.dumps(short)})
    assert UpdateHeader.parse(header.as_metadata()).history == short
    assert short_history({"loss": [0.5] * 101}) == {}
    assert "history" not in UpdateHeader.parse(GOOD).as_metadata()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("history", "[1]"),
        ("history", '{"loss": 1}'),
        ("history", '{"loss": [Infinity]}'),
        ("history", json.dumps({"loss": [1.0] * 101})),
        ("history", json.dumps({"loss": [0.123456789012] * 99, "accuracy": ["x" * 10_000]})),
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
        {"training": {"optimizer": "adagrad"}},
        {"training": {"learning_rate": float("nan")}},
    ],
)
def test_a_bad_task_is_refused(change: dict) -> None:
    good = {"name": "digits", "classes": ["0", "1"]}
    Task(**good)
    with pytest.raises(ValidationError):
        Task(**(good | change))


CATS_DOGS = {"name": "cats_dogs", "classes": ["cat", "dog"], "architecture": "catdog_cnn"}


@pytest.mark.parametrize("size", [32, 45, 100, 512])
def test_the_network_for_two_classes(size: int) -> None:
    task = Task(**CATS_DOGS, image_size=size, trainable="all")
    assert (task.image_size, task.alpha, task.backbone) == (size, None, None)
    assert Task.model_validate_json(task.model_dump_json()) == task


def test_defaults_depend_on_the_architecture() -> None:
    small, large = Task(**CATS_DOGS), Task(name="digits", classes=("0", "1"))
    assert (small.image_size, small.trainable) == (100, "all")
    assert (large.image_size, large.trainable) == (96, "head")
    assert (large.alpha, large.backbone) == (0.25, "builtin")
    assert not small.auto_aggregate
    assert Task(**CATS_DOGS, auto_aggregate=True).auto_aggregate


@pytest.mark.parametrize("architecture", ["mnist_mlp", "mnist_cnn"])
@pytest.mark.parametrize("count", [2, 10, 300])
def test_the_networks_for_grey_pictures(architecture: str, count: int) -> None:
    task = Task(name="mnist", classes=[f"c{n}" for n in range(count)], architecture=architecture)
    assert (task.image_size, task.channels, task.trainable) == (28, 1, "all")
    assert (task.alpha, task.backbone) == (None, None)
    assert Task.model_validate_json(task.model_dump_json()) == task
    assert "channels" not in task.model_dump()
    for other in (Task(**CATS_DOGS), Task(name="digits", classes=("0", "1"))):
        assert other.channels == 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"architecture": "mnist_cnn", "image_size": 7}, "image_size"),
        ({"architecture": "mnist_cnn", "backbone": "builtin"}, "leave backbone out"),
        ({"architecture": "mnist_mlp", "trainable": "head"}, "leave trainable out"),
        ({"image_size": 28}, "catdog_cnn sees pictures of at least 32 pixels"),
        ({"classes": ["a", "b", "c"]}, "two classes apart, and there are 3"),
        ({"alpha": 0.25}, "leave alpha out"),
        ({"backbone": "builtin"}, "leave backbone out"),
        ({"trainable": "head"}, "leave trainable out"),
        ({"image_size": 31}, "image_size"),
        ({"image_size": 513}, "image_size"),
        ({"architecture": "mobilenet", "image_size": 100}, "multiple of 32"),
        ({"architecture": "mobilenet", "alpha": None}, "needs one, such as 0.25"),
        ({"architecture": "mobilenet", "backbone": None}, "needs one, such as 'builtin'"),
        ({"architecture": "vgg"}, "'catdog_cnn', 'mnist_mlp'"),
    ],
)
def test_what_does_not_fit_the_architecture_is_told(change: dict, sentence: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Task(**(CATS_DOGS | change))
    first = raised.value.errors()[0]
    assert sentence in f"{first['loc'][0]}: {first['msg']}"


def test_a_strategy_that_is_not_known_here_counts_as_fedavg() -> None:
    told = Task(name="a", classes=("x", "y"), strategy="fedprox").model_dump(mode="json")
    assert Task.as_known_here(told).strategy == "fedprox"
    for strange in ({"strategy": "votes"}, {"strategy_parameters": {"votes": 3}}):
        known = Task.as_known_here(told | strange)
        assert (known.strategy, known.strategy_parameters) == ("fedavg", {})
    with pytest.raises(ValidationError, match="seed"):
        Task.as_known_here(told | {"strategy": "votes", "seed": -1})
