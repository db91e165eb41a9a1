"""Claims, and the tables made of them."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from benchmarks import tables
from benchmarks.report import RESULTS, Claim, Run
from benchmarks.run import BENCHMARKS


@pytest.mark.parametrize(
    ("claim", "ratio", "reached"),
    [
        (Claim("a round", "another", 0.2, 3.0, "s", 15), 15, True),
        (Claim("a round", "another", 0.4, 3.0, "s", 15), 7.5, False),
        (Claim("pictures", "another", 300, 200, "pictures/s", 1.5, "more"), 1.5, True),
        (Claim("pictures", "another", 200, 200, "pictures/s", 1.5, "more"), 1, False),
        (Claim("bytes", "", 8.0, None, "kB", 12, limit="at most"), None, True),
        (Claim("bytes", "", 13.0, None, "kB", 12, limit="at most"), None, False),
        (Claim("a figure", "", 13.0, None, "kB", None), None, None),
    ],
)
def test_a_claim_says_whether_its_goal_is_reached(
    claim: Claim, ratio: float | None, reached: bool | None
) -> None:
    assert claim.ratio == (None if ratio is None else pytest.approx(ratio))
    assert claim.reached is reached


def test_results_become_a_table(tmp_path: Path) -> None:
    claims = [
        Claim("a whole round", "Flower", 0.21, 4.2, "s", 15),
        Claim("memory", "", 130.4, None, "MB", 120, limit="at most"),
    ]
    Run("rounds", quick=False, results=tmp_path).save({"samples": [1, 2]}, claims)
    told = json.loads((tmp_path / "rounds.json").read_text())
    assert told["command"] == "python -m benchmarks.rounds"
    assert told["machine"]["cores"] >= 1
    text = tables.write(tmp_path).read_text()
    wanted = "| a whole round | Flower | 0.21 s | 4.2 s | **20 ×** | ≥ 15 ×: reached |"
    assert wanted in text
    assert "| memory | – | 130 MB | – | – | ≤ 120 MB: missed |" in text


def test_the_table_in_the_repository_is_that_of_its_results(tmp_path: Path) -> None:
    for path in RESULTS.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    assert (RESULTS / "README.md").read_text() == tables.write(tmp_path).read_text()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_says_what_it_is(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    module = importlib.import_module(f"benchmarks.{name}")
    with pytest.raises(SystemExit) as ended:
        module.main()
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"python -m benchmarks.{name}" in told
    assert "--quick" in told
