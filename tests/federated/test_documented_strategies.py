"""docs/strategies.md tells all strategies, and who follows it has written one."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.federated.aggregation import ASYNCHRONOUS_STRATEGIES, STRATEGIES
from shared.federated.strategy_words import value_in_words
from tests.server import ROOT

_PAGE = (ROOT / "docs/strategies.md").read_text(encoding="utf-8")
_REGISTRY = "shared/federated/aggregation/__init__.py"


def block(name: str) -> str:
    """The piece of code of that name."""
    (found,) = re.findall(rf"```python {re.escape(name)}\n(.*?)```", _PAGE, re.DOTALL)
    return str(found)


def rows() -> list[str]:
    """What the table of strategies holds."""
    return [
        f"| `{name}` | {_told(told)} | {told['kind']} | {_parameters(told)} |"
        for name, strategy in STRATEGIES.items()
        for told in [strategy.described()]
    ]


def rules() -> list[str]:
    """What the table of the rules of asynchronous tasks holds."""
    return [
        f"| `{name}` | {_told(told)} | {_parameters(told)} |"
        for name, rule in ASYNCHRONOUS_STRATEGIES.items()
        for told in [rule.described()]
    ]


def _told(told: Mapping[str, Any]) -> str:
    paper = f" ([{told['paper']}]({told['link']}))" if told["link"] else f" ({told['paper']})"
    return f"{told['title']}{paper if told['paper'] else ''}. {told['summary']}"


def _parameters(told: Mapping[str, Any]) -> str:
    values = (
        f"`{field['name']}` {value_in_words(field.get('default'))}".replace("*", r"\*")
        for field in told["parameters"]
    )
    return ", ".join(values) or "none"


@pytest.mark.parametrize(("head", "wanted"), [("strategy", rows()), ("asynchronous.rule", rules())])
def test_the_tables_tell_all_strategies_as_they_are(head: str, wanted: list[str]) -> None:
    table = _PAGE.partition(f"| `{head}` |")[2].partition("\n\n")[0]
    assert table.splitlines()[2:] == wanted, "put these lines into docs/strategies.md"


def test_who_follows_the_walk_through_has_a_strategy(tmp_path: Path) -> None:
    for part in ("shared", "tests/federated/arrivals.py", "tests/__init__.py", "pyproject.toml"):
        target = tmp_path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, target)
    test = "tests/federated/test_equal_votes.py"
    for path in ("shared/federated/aggregation/equal_votes.py", test):
        assert not (tmp_path / path).exists()
        (tmp_path / path).write_text(block(path), encoding="utf-8")
    registry = tmp_path / _REGISTRY
    before = registry.read_text(encoding="utf-8")
    imported, listed = re.findall(r"^\+(.*\n)", _PAGE, re.MULTILINE)
    first, place = "from shared.federated.aggregation.", "        FedAvg,\n"
    after = before.replace(first, imported + first, 1).replace(place, place + listed, 1)
    assert len(after) == len(before) + len(imported) + len(listed)
    registry.write_text(after, encoding="utf-8")

    told = _run(tmp_path, "pytest", "-q", test)
    assert "1 passed" in told, told
    told = _run(tmp_path, "shared.command_line", "strategies", "equal_votes")
    assert told.startswith("Equal votes: The mean of what devices have changed")
    assert "server_learning_rate = 1  (above 0, at most 10)" in told
    assert 'strategy = "equal_votes"' in told
    code = (
        "from shared.federated.task import Task; "
        "Task(name='d', classes=('a', 'b'), strategy='equal_votes')"
    )
    _run(tmp_path, None, "-c", code)


def _run(directory: Path, module: str | None, *arguments: str) -> str:
    """What Python says that runs in a folder, with what lies there alone."""
    of_module = ["-m", module] if module else []
    ended = subprocess.run(
        [sys.executable, *of_module, *arguments],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(directory), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
