"""``fedbell strategies``: what there is, without a server and without TensorFlow."""

import subprocess
import sys
import tomllib

import pytest
from click.testing import CliRunner, Result

from shared.command_line.commands import main
from shared.federated.aggregation import ASYNCHRONOUS_STRATEGIES, STRATEGIES
from shared.federated.task import Task
from tests.server import ROOT


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["strategies", *arguments], env={"COLUMNS": "200"})


def test_a_line_for_each_by_kind() -> None:
    told = run()
    assert told.exit_code == 0
    lines = told.output.splitlines()
    for name, strategy in STRATEGIES.items():
        (line,) = (each for each in lines if each.split()[0] == name)
        assert strategy.described()["summary"] in line
    for name, rule in ASYNCHRONOUS_STRATEGIES.items():
        (line,) = (each for each in lines if each.split()[0] == name)
        assert rule.summary in line
    assert (
        lines.index("Averages") < lines.index("Server optimisers") < lines.index("Personal layers")
    )


@pytest.mark.parametrize("name", [*STRATEGIES, *ASYNCHRONOUS_STRATEGIES])
def test_all_there_is_to_know_of_one(name: str) -> None:
    told = run(name)
    assert told.exit_code == 0
    known = STRATEGIES.get(name) or ASYNCHRONOUS_STRATEGIES[name]
    described = known.described()
    for text in (described["title"], described["summary"], described["explanation"]):
        assert text in told.output
    assert described["paper"] in told.output
    for parameter in described["parameters"]:
        assert f"  {parameter['name']} = " in told.output
        assert parameter["description"] in told.output
    lines = told.output.partition("[tasks.NAME]\n")[2]
    task = Task(name="any", classes=("a", "b"), **tomllib.loads(lines))
    assert name in {task.strategy, task.asynchronous.rule if task.mode == "async" else None}
    assert task.rule == type(task.rule)(), "its defaults"


def test_bounds_are_told() -> None:
    assert "  mu = 0.01  (0 to 1000)\n" in run("fedprox").output
    assert "  momentum = 0.9  (at least 0, below 1)\n" in run("fedavgm").output


def test_a_name_that_is_none_is_told_with_what_is_near_it() -> None:
    told = run("fedprx")
    assert told.exit_code == 2
    assert "there is no strategy 'fedprx'; near it: fedprox, fedper.\n" in told.output
    assert "there are fedavg, fedprox" in run("vote").output


def test_tensorflow_is_not_loaded() -> None:
    code = (
        "import sys; from shared.command_line.commands import main\n"
        "main(['strategies', 'fedprox'], standalone_mode=False)\n"
        "assert not {'tensorflow', 'keras', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
