"""A client trains for the strategy in use when it pulls, not for that of its last heartbeat."""

import json
from pathlib import Path

import pytest

from shared.device.client.display import LineDisplay
from shared.federated.choice import Choice, as_header
from shared.federated.task import Task
from tests.device.client.memory_house import House

TASK = Task(name="mnist", classes=("a", "b"), rounds={"late_updates": "merge"})
PROX = Choice("fedprox", {"mu": 0.1}).applied(TASK)
ADAM = Choice("fedadam", {}).applied(TASK)


class Watched(House):
    """Notes, with each update, the strategy of the task that the client has then."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, TASK)
        self.trained_for: list[str] = []
        self.server.fails = self._note

    def _note(self, call: str) -> None:
        if call == "send":
            state = json.loads((self.state / TASK.name / "state.json").read_text())
            self.trained_for.append(state["task"]["strategy"])


def test_it_trains_for_what_comes_with_the_version(tmp_path: Path) -> None:
    house = Watched(tmp_path)
    told = [as_header(PROX), as_header(ADAM), None]

    def next_one() -> bool:
        pushed = len(house.server.accepted)
        house.server.strategy = told[pushed] if pushed < len(told) else None
        return pushed == len(told)

    next_one()
    house.run(next_one)
    assert house.trained_for == ["fedprox", "fedadam", "fedavg"], "the last as heartbeats tell it"


@pytest.mark.parametrize(
    "told", ["", "{", "[]", '{"strategy": "magic", "strategy_parameters": {}}', "[" * 4000]
)
def test_what_makes_no_sense_is_told_once_and_changes_nothing(
    tmp_path: Path, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = Watched(tmp_path)
    house.server.strategy = told
    said: list[str] = []
    monkeypatch.setattr(LineDisplay, "say", lambda _, text: said.append(text))
    house.run(lambda: len(house.server.accepted) == 3)
    assert house.trained_for == ["fedavg"] * 3
    (line,) = (text for text in said if "strategy" in text)
    assert line.startswith("The main server tells a strategy of mnist that makes no sense: ")
