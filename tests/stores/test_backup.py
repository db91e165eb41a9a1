"""The commands of docs/store.md back a store up and bring it back."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from main_server.store.moving import main as move
from main_server.store.opening import open_store, sqlite_url
from main_server.store.tables import Round
from tests.main_server.conftest import snapshot
from tests.postgresql import binaries
from tests.server import ROOT

from .opening import copy_main_server


def commands(name: str) -> str:
    """The block of docs/store.md that has that name."""
    text = (ROOT / "docs/store.md").read_text(encoding="utf-8")
    blocks: list[str] = re.findall(rf"```sh {name}\n(.*?)```", text, re.DOTALL)
    (block,) = blocks
    return block


def run(name: str, directory: Path, **environment: str) -> None:
    path = f"{binaries()}:{os.environ['PATH']}"
    subprocess.run(
        ["/bin/bash", "-euc", commands(name)],
        cwd=directory,
        env=os.environ | {"PATH": path} | environment,
        check=True,
        timeout=100,
    )


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = copy_main_server("d2d80a6", tmp_path / "state")
    open_store(sqlite_url(state)).close()
    return state


def test_a_store_of_sqlite(state: Path, tmp_path: Path) -> None:
    before = snapshot(state)
    run("backup", tmp_path, STATE_DIRECTORY=str(state))
    (state / "main_server.db").write_bytes(b"damaged")
    (state / "models/left.over").touch()
    run("restore", tmp_path, STATE_DIRECTORY=str(state))
    assert snapshot(state) == before


def test_a_store_of_postgresql(
    state: Path,
    tmp_path: Path,
    empty_postgresql: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = {"STATE_DIRECTORY": str(state), "DATABASE_URL": empty_postgresql}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    move()
    assert "rows moved" in capsys.readouterr().out

    def rows() -> list[tuple[Any, ...]]:
        database = open_store(empty_postgresql)
        with database.read() as session:
            found = [(row.number, row.status, len(row.updates)) for row in session.query(Round)]
        database.close()
        return sorted(found)

    before = rows()
    assert len(before) == 3
    run("backup", tmp_path, **settings)
    run("backup postgresql", tmp_path, **settings)
    database = open_store(empty_postgresql)
    with database.write() as session:
        for row in session.query(Round):
            row.status = "abandoned"
    database.close()
    run("restore", tmp_path, **settings)
    run("restore postgresql", tmp_path, **settings)
    assert rows() == before
