"""``fedbell evaluate``: against a real main server, and without any."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from shared.command_line.commands import main
from shared.datasets.chunks import open_chunks
from shared.federated.task import Task
from shared.federated.weights import write_weights
from shared.learning.direct import evaluate_on, train_on
from shared.learning.evaluation import Evaluation
from shared.learning.network import Network, build_network
from tests.datasets.idx_files import write_digits
from tests.server import ROOT, Server, free_port

TOKEN = "token-of-a-device".ljust(40, "-")
OPERATOR, VIEWER, JOIN = (
    "operator-".ljust(32, "o"),
    "viewer-".ljust(32, "v"),
    "joining-".ljust(32, "j"),
)
#: The classes of the first one are none of the labels; the second one's backbone nobody has.
OTHERS = """
[tasks.letters]
classes = ["a", "b", "c", "d", "e", "f"]
architecture = "mnist_mlp"

[tasks.photos]
classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
backbone = "file:missing.safetensors"
image_size = 32
"""


def documented() -> str:
    """The task that docs/mnist.md tells people to copy."""
    text = (ROOT / "docs" / "mnist.md").read_text(encoding="utf-8")
    return str(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0])


class Federation:
    """A main server with the documented task, a network that has learned, and a test set."""

    def __init__(self, directory: Path) -> None:
        self.data, self.tasks = directory / "data", directory / "tasks.toml"
        self.tasks.write_text(documented() + OTHERS)
        table = tomllib.loads(documented())["tasks"]["mnist"]
        self.task = Task(name="mnist", **table)
        write_digits(self.data)
        digits = open_chunks(self.data, self.task.classes, 28, 1, chunk_size=600)
        self.network: Network = build_network(self.task, directory)
        train_on(
            self.network, digits.chunk(1), self.task.training, 1, lambda *_: None, lambda: False
        )
        self.expected: Evaluation = evaluate_on(self.network, digits.test())
        self.weights = directory / "weights.safetensors"
        metadata = {"task": "mnist", "fingerprint": self.network.fingerprint}
        metadata["backbone"] = self.network.backbone_sha256
        write_weights(self.weights, self.network.weights(), metadata)
        tokens = {"ADMIN_TOKEN": OPERATOR, "VIEWER_TOKEN": VIEWER, "JOIN_TOKEN": JOIN}
        environment = {"TASKS_FILE": str(self.tasks), "WORKERS": "1", **tokens}
        self.server = Server("main_server.wsgi:app", directory, environment)
        self.server.start()

    def make_version(self) -> None:
        """Offer the network as version 0, as a device does."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Join-Token": JOIN}
        status = {"device": "alice", "url": None, "tasks": {"mnist": {"num_samples": 600}}}
        http = self.server.http
        assert http.post("/clientstatus", json=status, headers=headers).is_success
        content = self.weights.read_bytes()
        answer = http.put("/models/0?task=mnist", content=content, headers=headers)
        assert answer.status_code == 201, answer.text

    def evaluate(self, *options: str, task: str = "mnist", token: str = VIEWER) -> Result:
        arguments = ["evaluate", f"--task={task}", f"--server={self.server.url}"]
        arguments += [f"--data={self.data}", *options]
        environment = {"VIEWER_TOKEN": token, "ADMIN_TOKEN": None}
        return CliRunner().invoke(main, arguments, env=environment)

    def told(self, *options: str) -> Any:
        result = self.evaluate(*options, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    federation = Federation(tmp_path_factory.mktemp("federation"))
    yield federation
    federation.server.stop()


def problem(result: Result) -> str:
    """The one line that a command says when it fails."""
    assert result.exit_code == 1, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    return result.output


def test_a_version_is_measured(federation: Federation) -> None:
    assert "has no version of task mnist yet. Start" in problem(federation.evaluate())
    federation.make_version()
    told = federation.told()
    expected = federation.expected
    assert told["confusion"] == expected.confusion.tolist()
    assert told["loss"] == pytest.approx(expected.loss, rel=1e-6)
    assert told["accuracy"] == expected.accuracy > 0.6
    assert told["num_samples"] == 360
    assert [told["task"], told["version"]] == ["mnist", "0"]
    assert told["classes"] == list(federation.task.classes)
    assert federation.told("--version", "0") == told

    shown = federation.evaluate("--version=latest")
    assert shown.exit_code == 0
    begin, title, *table = shown.output.splitlines()
    assert begin.startswith(f"mnist, version 0: accuracy {expected.accuracy:.2%}, loss ")
    assert begin.endswith("360 test pictures")
    assert title.strip() == "Confusion matrix"
    rows = [re.findall(r"\d+|·", row) for row in table if re.match(r"│ \d", row)]
    numbers = [[0 if cell == "·" else int(cell) for cell in row[1:]] for row in rows]
    assert numbers == expected.confusion.tolist()


@pytest.mark.parametrize(
    ("options", "task", "sentence"),
    [
        (["--version=7"], "mnist", "7"),
        ([], "cats", r"has no task cats\. It has: letters, mnist, photos\."),
        ([], "letters", "holds the label 9, but the task has only 6 classes"),
        (["--data=nowhere"], "mnist", r"nowhere holds no data set\. Put there MNIST's files"),
        ([f"--server=http://127.0.0.1:{free_port()}"], "mnist", "cannot be reached .* Start it"),
        (["--server=nonsense"], "mnist", "'nonsense' is no address such as http://"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    federation: Federation, options: list[str], task: str, sentence: str
) -> None:
    assert re.search(sentence, problem(federation.evaluate(*options, task=task)))


def test_a_missing_backbone_is_named(federation: Federation) -> None:
    """Before any weights are looked at."""
    result = federation.evaluate(f"--file={federation.weights}", task="photos")
    assert "is built on missing.safetensors, which is not on this device" in problem(result)


@pytest.mark.parametrize("token", ["", "a-wrong-token"])
def test_who_may_not_look_is_told_what_to_set(federation: Federation, token: str) -> None:
    assert "Set VIEWER_TOKEN or ADMIN_TOKEN" in problem(federation.evaluate(token=token))


def test_a_file_is_measured_without_a_server(federation: Federation) -> None:
    away = [f"--server=http://127.0.0.1:{free_port()}", f"--tasks={federation.tasks}"]
    told = federation.told(*away, f"--file={federation.weights}")
    assert told["confusion"] == federation.expected.confusion.tolist()
    assert told["version"] == str(federation.weights)
    result = federation.evaluate(*away, f"--file={federation.weights}", task="cats")
    assert "has no task cats. It has: letters, mnist, photos" in problem(result)


def test_weights_of_another_network_are_refused(federation: Federation, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.toml"
    tasks.write_text(documented().replace("mnist_cnn", "mnist_mlp", 1))
    result = federation.evaluate(f"--tasks={tasks}", f"--file={federation.weights}")
    assert "These weights are of another network" in problem(result)
    (tmp_path / "text").write_text("no weights at all")
    result = federation.evaluate(f"--tasks={federation.tasks}", f"--file={tmp_path / 'text'}")
    assert "not a whole safetensors file" in problem(result)
    tasks.write_text(documented().replace("epochs = 1", "epochs = 0"))
    result = federation.evaluate(f"--tasks={tasks}")
    assert "tasks.mnist: training.epochs: Input should be" in problem(result)


def test_of_many_classes_the_confusions_are_listed() -> None:
    from shared.command_line.evaluate import _confusions

    counts = np.diag(np.full(30, 5))
    counts[3, 4], counts[7, 8] = 2, 9
    table = _confusions([f"c{number}" for number in range(30)], counts.tolist())
    cells = [list(column.cells) for column in table.columns]
    assert cells == [["c7", "c3"], ["c8", "c4"], ["9", "2"]]


def test_version_is_latest_or_a_number() -> None:
    result = CliRunner().invoke(main, ["evaluate", "--task=mnist", "--version=newest"])
    assert result.exit_code == 2
    assert "'newest' is neither latest nor a number" in result.output


def test_other_commands_load_neither_tensorflow_nor_opencv() -> None:
    code = (
        "import sys, shared.command_line.commands; "
        "print(sorted({'tensorflow', 'cv2'} & {*sys.modules}))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert answer.stdout.strip() == "[]"
