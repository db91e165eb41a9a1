"""A device trains for the strategy in use, whatever its last heartbeat was told."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from shared.device.greeting import TaskOffer
from shared.device.store import Store
from shared.device.told_strategies import ToldStrategies
from shared.federated.aggregation import STRATEGIES
from shared.federated.choice import HEADER, MOST_HEADER_CHARACTERS, Choice, as_header
from shared.federated.task import Task
from tests.federation import Federation

TASK = Task(name="shades", classes=("dark", "light"))
PROX = Choice("fedprox", {"mu": 0.1}).applied(TASK)
_TRAIN = "/modeltrain?task=shades"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path, "door")
    store.adopt("first", [(TASK, 3, 2)])
    yield store
    store.database.close()


def test_what_comes_with_a_version_is_kept(store: Store) -> None:
    assert store.goes_by(TASK) == TASK
    store.take_strategy(PROX)
    assert store.goes_by(TASK) == store.task("shades") == PROX
    (row,) = store.tasks()
    assert (row.version, row.distributed_version) == (3, 2), "and nothing else has changed"


def test_a_heartbeat_that_began_before_it_tells_nothing_newer(store: Store) -> None:
    before = time.monotonic()
    store.take_strategy(PROX)
    changed = TASK.model_copy(update={"min_updates": 2})
    store.adopt("first", [(changed, 4, 4)], before)
    told = store.task("shades")
    assert (told.strategy, told.min_updates, store.tasks()[0].version) == ("fedprox", 2, 4)
    store.adopt("first", [(changed, 4, 4)], time.monotonic())
    assert store.task("shades").strategy == "fedavg"


def test_another_federation_has_strategies_of_its_own(store: Store) -> None:
    before = time.monotonic()
    store.take_strategy(PROX)
    store.adopt("second", [(TASK, None, None)], before)
    assert store.task("shades") == TASK


def test_a_task_that_is_gone_meanwhile_stays_gone(store: Store) -> None:
    store.adopt("first", [])
    store.take_strategy(PROX)
    assert store.tasks() == []
    assert store.goes_by(TASK) == TASK


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_can_be_told(name: str) -> None:
    task = Choice(name, {}).applied(TASK)
    header = as_header(task)
    assert header is not None
    assert ToldStrategies(pytest.fail).read(TASK, header) == task


@given(some.text() | some.recursive(some.text(), some.lists).map(repr))
def test_whatever_is_told_it_is_read_or_left(told: str) -> None:
    said: list[str] = []
    read = ToldStrategies(said.append).read(TASK, told)
    assert (read is None) == (len(said) == 1)
    assert read is None or read.network() == TASK.network()


def test_what_makes_no_sense_is_logged_once() -> None:
    said: list[str] = []
    reader = ToldStrategies(said.append)
    long = as_header(Choice("fedper", {"layers": ["x" * 99]}).applied(TASK))
    assert long is not None
    told = [
        long.replace("x", "x" * MOST_HEADER_CHARACTERS, 1),
        '{"strategy": "fedprox"}',
        '{"strategy": "fedprox", "strategy_parameters": {"mu": -1}}',
        '{"strategy": "fedprox", "strategy_parameters": {}, "classes": ["a", "b"]}',
        '{"strategy": ["fedprox"], "strategy_parameters": {}}',
        '{"strategy": "fedprox", "strategy_parameters": {"mu": NaN}}',
    ]
    assert [reader.read(TASK, each) for each in told] == [None] * len(told)
    assert said == [
        "The main server tells a strategy of shades that makes no sense: it has more than 4096 "
        "characters."
    ]


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A main server and a device that beats so rarely that no heartbeat tells of a choice."""
    federation = Federation(
        tmp_path_factory.mktemp("federation"), heartbeat_seconds=3600, devices=("device1",)
    )
    federation.write_pictures()
    try:
        federation.start()
        yield federation
    finally:
        federation.close()


def test_a_choice_right_before_a_training_is_what_it_trains_for(federation: Federation) -> None:
    main, device = federation.main, federation.devices["device1"]
    assert device.do(_TRAIN)["strategy"] == "fedavg"
    main.do("/strategy?task=shades", {"strategy": "fedprox", "parameters": {"mu": 0.1}})
    assert device.do(_TRAIN)["strategy"] == "fedprox", "the version was here already: 304"
    answer = main.http.get("/models/latest?task=shades")
    assert "0.1" in answer.headers[HEADER]


def test_also_where_a_version_comes_with_it(federation: Federation) -> None:
    main, device = federation.main, federation.devices["device1"]
    for step in ("/modeltrain", "/sendmodel", "/aggregate_models"):
        main.do(f"{step}?task=shades")
    main.do("/strategy?task=shades", {"strategy": "fednova"})
    trained = device.do(_TRAIN)
    assert (trained["base_version"], trained["strategy"]) == (1, "fednova")


def test_a_round_asked_by_the_main_server_goes_by_it(federation: Federation) -> None:
    main = federation.main
    main.do("/strategy?task=shades", {"strategy": "fedprox"})
    (told,) = main.do("/modeltrain?task=shades")["devices"].values()
    assert told["strategy"] == "fedprox"


def test_a_device_starts_and_listens_where_its_task_has_a_strategy_that_it_does_not_know(
    store: Store,
) -> None:
    strange = TASK.model_copy(update={"strategy": "votes"})
    store.adopt("first", [(strange, 4, 4)])
    assert store.task("shades") == TASK
    told = {"task": TASK.model_dump(mode="json") | {"strategy": "votes"}}
    offer = TaskOffer.model_validate(told | {"version": 1, "distributed_version": 1})
    assert offer.task == TASK
