import time
from pathlib import Path

import pytest

from shared.device.auto_train_notes import AutoTrainNotes
from shared.device.store import FederationChanged, NoTaskYet, NothingToSend, Store, UnknownTask
from shared.device.tables import PendingUpdate
from shared.federated.task import Task
from shared.web.events import newest_events

MEASURED = {
    "evaluation": {"accuracy": 0.5, "loss": 1.0, "num_samples": 4},
    "problem": None,
    "skipped": [{"picture": "test/dark/a.png", "reason": "It is damaged."}],
}
TASK = Task(name="shades", classes=("dark", "light"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path, "door")
    store.adopt("first", [(TASK, 3, 2)])
    return store


def install(store: Store, version: int, federation: str = "first") -> Path:
    file = store.new_file("models", "shades")
    file.write_bytes(b"weights")
    store.install("shades", version, file, '"etag"', federation)
    return file


def update(store: Store) -> PendingUpdate:
    file = store.new_file("updates", "shades")
    file.write_bytes(b"update")
    return PendingUpdate(
        on_its_way=None,
        task="shades",
        base_version=3,
        num_samples=20,
        metrics={"accuracy": 0.5},
        file=file.name,
        result={"epochs": 5},
        trained=time.time(),
        answer=None,
    )


def test_the_token_is_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    token = Store(tmp_path, "door").token()
    assert len(token) >= 43
    assert Store(tmp_path, "door").token() == token
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


def test_tasks_are_kept_for_when_the_main_server_is_away(store: Store, tmp_path: Path) -> None:
    again = Store(tmp_path, "door")
    assert again.task(None) == again.task("shades") == TASK
    assert [(row.version, row.distributed_version) for row in again.tasks()] == [(3, 2)]
    with pytest.raises(UnknownTask, match="There are: shades"):
        store.task("nonsense")


def test_no_task_yet(tmp_path: Path) -> None:
    with pytest.raises(NoTaskYet, match="main_server_url"):
        Store(tmp_path, "door").task(None)


def test_a_newer_model_replaces_the_one_before(store: Store) -> None:
    first = install(store, 3)
    store.evaluated("shades", 3, MEASURED)
    second = install(store, 4)
    assert not first.exists()
    assert second.exists()
    row = store.installed("shades")
    assert row is not None
    assert (row.version, row.evaluation) == (4, None)


def test_an_evaluation_of_a_replaced_version_changes_nothing(store: Store) -> None:
    install(store, 4)
    store.evaluated("shades", 3, MEASURED)
    row = store.installed("shades")
    assert row is not None
    assert row.evaluation is None


def test_unreadable_test_pictures_are_kept_until_the_next_measurement(
    store: Store, tmp_path: Path
) -> None:
    assert store.unreadable("shades") == []
    install(store, 3)
    store.evaluated("shades", 3, MEASURED)
    assert Store(tmp_path, "door").unreadable("shades") == MEASURED["skipped"]
    store.evaluated("shades", 3, MEASURED | {"skipped": []})
    assert store.unreadable("shades") == []


def test_an_open_update_stays_readable_when_a_newer_one_comes(store: Store) -> None:
    with pytest.raises(NothingToSend):
        store.open_update("shades").__enter__()
    store.keep_update(update(store), "first")
    with store.open_update("shades") as (row, file):
        store.keep_update(update(store), "first")
        assert file.read() == b"update"
        store.sent(row, {"round": 4})
    newer = store.pending("shades")
    assert newer is not None
    assert newer.answer is None


def test_an_update_with_new_pictures_is_known_until_it_is_settled(
    store: Store, tmp_path: Path
) -> None:
    notes = AutoTrainNotes(store.database, "door")
    store.keep_update(update(store), "first")
    assert notes.new_update("shades") is None
    store.keep_update(update(store), "first", 7, by_itself=True)
    again = AutoTrainNotes(Store(tmp_path, "door").database, "door").new_update("shades")
    assert again is not None
    assert (again.row.num_samples, again.new) == (20, 7)
    assert (again.by_itself, again.is_refused) == (True, False)
    notes.settle("shades", "Trained by itself")
    assert notes.new_update("shades") is None
    assert newest_events(store.database, 1)[0].message == "Trained by itself"


def test_new_pictures_stay_new_until_an_update_with_them_was_sent(store: Store) -> None:
    notes = AutoTrainNotes(store.database, "door")
    store.keep_update(update(store), "first", 2, by_itself=True)
    notes.refuse("shades")
    refused = notes.new_update("shades")
    assert refused is not None
    assert refused.is_refused
    store.keep_update(update(store), "first", 1)  # somebody else trained
    both = notes.new_update("shades")
    assert both is not None
    assert (both.new, both.by_itself, both.is_refused) == (3, False, False)
    store.sent(both.row, {"round": 4})
    store.keep_update(update(store), "first")
    assert notes.new_update("shades") is None


def test_the_switch_is_kept(store: Store, tmp_path: Path) -> None:
    notes = AutoTrainNotes(store.database, "door")
    assert notes.is_on("shades") is None
    for on in (True, False):
        notes.switch("shades", on)
        assert AutoTrainNotes(Store(tmp_path, "door").database, "door").is_on("shades") is on
        assert notes.is_on("parcels") is None


def test_another_federation_forgets_models_and_updates(store: Store) -> None:
    install(store, 3)
    store.keep_update(update(store), "first")
    late = update(store)
    store.adopt("second", [(TASK, None, None)])
    assert store.installed("shades") is None
    assert store.pending("shades") is None
    with pytest.raises(FederationChanged):
        store.keep_update(late, "first")
    with pytest.raises(FederationChanged):
        install(store, 3, "first")


def test_files_without_a_row_are_removed_at_the_next_start(store: Store, tmp_path: Path) -> None:
    kept = install(store, 3)
    store.keep_update(update(store), "first")
    for folder in ("models", "updates", "incoming"):
        (tmp_path / folder / ".left.by.a.kill").write_bytes(b"")
        store.new_file(folder, "shades").write_bytes(b"")
    Store(tmp_path, "door")
    assert list((tmp_path / "models").iterdir()) == [kept]
    assert len(list((tmp_path / "updates").iterdir())) == 1
    assert not list((tmp_path / "incoming").iterdir())
