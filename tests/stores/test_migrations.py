"""A store of an earlier Fedbell opens in this one, whole; one of a later Fedbell does not."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, text

from shared.errors import ConfigurationError
from shared.web import migrations
from shared.web.database import Database
from shared.web.engines import parse_url
from tests.server import ROOT, wait_until

from .opening import EARLIER, KINDS, Kind, rows, schema, write

both_kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.fixture(params=["sqlite", "postgresql"])
def make_url(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    """Addresses of empty databases, by name."""
    if request.param == "sqlite":
        return lambda name: f"sqlite:///{tmp_path / name}.db"
    server = request.getfixturevalue("postgresql")
    made = {}

    def make(name: str) -> str:
        if name not in made:
            context = server.database()
            made[name] = context.__enter__()
            request.addfinalizer(lambda: context.__exit__(None, None, None))
        return str(made[name])

    return make


def open_kind(kind: Kind, url: str) -> None:
    Database(url, *kind.tables, migrations=kind.chain).close()


def migrate_from_nothing(kind: Kind, url: str) -> None:
    """All migrations of a chain, from an empty database on."""
    engine = create_engine(parse_url(url))
    with engine.begin() as connection:
        migrations.migrate(connection, kind.chain)
    engine.dispose()


@both_kinds
def test_migrations_come_to_what_the_tables_declare(kind: Kind, make_url) -> None:  # type: ignore[no-untyped-def]
    migrate_from_nothing(kind, make_url("migrated"))
    open_kind(kind, make_url("made"))
    assert schema(make_url("migrated")) == schema(make_url("made"))
    engine = create_engine(parse_url(make_url("migrated")))
    declared = MetaData()
    for metadata in kind.tables:
        for table in metadata.sorted_tables:
            table.to_metadata(declared)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, declared) == [], "write a migration: docs/store.md"
    engine.dispose()


@both_kinds
def test_a_chain_is_one_chain(kind: Kind) -> None:
    script = ScriptDirectory(
        str(Path(migrations.__file__).parent), version_locations=[str(kind.chain / "versions")]
    )
    told = [revision.revision for revision in script.walk_revisions()]
    assert migrations.revisions(kind.chain) == list(reversed(told))
    assert script.get_heads() == told[:1]


@both_kinds
@pytest.mark.parametrize("commit", EARLIER)
def test_a_store_of_an_earlier_commit_keeps_every_row(
    kind: Kind, commit: str, tmp_path: Path
) -> None:
    file = tmp_path / "store.db"
    write(commit, kind.name, file)
    before = rows(file)
    assert all(before.values()), "an empty table proves nothing"
    for _ in range(2):
        open_kind(kind, f"sqlite:///{file}")
    after = rows(file)
    before.pop("alembic_version", None)  # it tells how far the store is
    for table, earlier in before.items():
        assert len(after[table]) == len(earlier)
        for row, kept in zip(earlier, after[table], strict=True):
            assert kept.items() >= row.items()
    made = tmp_path / "made.db"
    open_kind(kind, f"sqlite:///{made}")
    assert schema(f"sqlite:///{file}") == schema(f"sqlite:///{made}")


def test_what_is_new_has_a_value_that_means_as_before(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    write("d2d80a6", "main_server", file)
    open_kind(KINDS[0], f"sqlite:///{file}")
    after = rows(file)
    assert {row["number"] for row in after["updates"]} == {0}
    assert {row["failures"] for row in after["device_tasks"]} == {0}
    assert {row["base_version"] for row in after["updates"]} == {None}


@both_kinds
def test_a_store_of_a_later_fedbell_stops_the_start(kind: Kind, make_url) -> None:  # type: ignore[no-untyped-def]
    url = make_url("store")
    open_kind(kind, url)
    engine = create_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = schema(url)
    with pytest.raises(ConfigurationError, match="later Fedbell: it is at revision 9999"):
        open_kind(kind, url)
    assert schema(url) == before
    engine.dispose()


def test_what_refers_to_nothing_is_told_and_nothing_changes(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    write("d2d80a6", "main_server", file)
    connection = sqlite3.connect(file)
    with connection:
        connection.execute("DELETE FROM rounds WHERE number = 1")
    connection.close()
    before = rows(file)
    with pytest.raises(ConfigurationError, match="a row of updates refers to one of rounds"):
        open_kind(KINDS[0], f"sqlite:///{file}")
    assert rows(file) == before


_OPEN = """
import sys
from main_server.store.opening import open_store
open_store(sys.argv[1]).close()
"""


def test_several_processes_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    write("d5803f2", "main_server", file)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _OPEN, f"sqlite:///{file}"],
            cwd=ROOT,
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    told = [process.communicate(timeout=100)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0] * 3, told
    assert sum("was migrated" in each for each in told) == 1


def test_several_processes_make_one_store_on_postgresql(empty_postgresql: str) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", _OPEN, empty_postgresql], cwd=ROOT)
        for _ in range(3)
    ]
    assert [process.wait(100) for process in started] == [0] * 3


_OPEN_AND_STOP = """
import os, signal, sys
from alembic.operations import Operations
original = Operations.batch_alter_table
def stop_at(self, name, *arguments, **options):
    if name == "updates":  # most of the migration is done
        print("here", flush=True)
        signal.pause()
    return original(self, name, *arguments, **options)
Operations.batch_alter_table = stop_at
import alembic.op
from main_server.store.opening import open_store
open_store(sys.argv[1])
"""


def test_a_migration_that_is_killed_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    write("d2d80a6", "main_server", file)
    url = f"sqlite:///{file}"
    before, tables = rows(file), schema(url)
    with subprocess.Popen(
        [sys.executable, "-c", _OPEN_AND_STOP, url], cwd=ROOT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        waits = threading.Thread(target=open_kind, args=(KINDS[0], url))
        waits.start()  # another worker, which goes on when the first one is gone
        assert (rows(file), schema(url)) == (before, tables), "nobody sees half of it"
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
    wait_until(lambda: not waits.is_alive())
    after = rows(file)
    assert {name: len(after[name]) for name in before} == {
        name: len(found) for name, found in before.items()
    }
    assert after["alembic_version"] == [{"version_num": migrations.revisions(KINDS[0].chain)[-1]}]


def test_alembic_is_loaded_only_to_migrate(tmp_path: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-c"),
            f"{_OPEN}open_store(sys.argv[1]).close()\nassert 'alembic' not in sys.modules",
            f"sqlite:///{tmp_path / 'store.db'}",
        ],
        cwd=ROOT,
        check=True,
    )
