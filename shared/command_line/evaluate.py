"""``fedbell evaluate``: how well a version of the global model does on a test set."""

import json
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from shared.command_line.options import authority_option, check_tls_options, server_option
from shared.command_line.published_models import PublishedModels, token_of_the_environment
from shared.command_line.quiet import quiet_libraries
from shared.datasets.chunks import read_test
from shared.errors import ConfigurationError, FedbellError
from shared.federated.task import Task
from shared.federated.weights import open_weights
from shared.web.access.tls import client_context
from shared.web.settings import explain, read_toml

if TYPE_CHECKING:
    from shared.learning.evaluation import Evaluation

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_FOLDER = click.Path(path_type=Path, file_okay=False)
#: Of more classes the table of all their confusions is too wide for any screen.
_MOST_COLUMNS = 20


class WrongModel(FedbellError):
    """Weights of another network than the task's."""

    status = 409
    title = "The weights are not those of the task"


@dataclass(frozen=True)
class _Measured:
    """What was measured, on what."""

    task: Task
    version: str
    evaluation: "Evaluation"

    def as_json(self) -> str:
        return json.dumps(
            {
                "task": self.task.name,
                "version": self.version,
                "accuracy": self.evaluation.accuracy,
                "loss": self.evaluation.loss,
                "num_samples": self.evaluation.num_samples,
                "classes": self.task.classes,
                "confusion": self.evaluation.confusion.tolist(),
            }
        )


def _number(_context: click.Context, _option: click.Parameter, value: str) -> int | None:
    """The number of a version; None for the latest one."""
    if value == "latest":
        return None
    if value.isdecimal() and int(value) < 2**31:
        return int(value)
    raise click.BadParameter(f"{value!r} is neither latest nor a number")


@click.command()
@click.option("--task", "name", required=True, help="The task.")
@click.option(
    "--version", callback=_number, default="latest", show_default=True, help="latest, or a number."
)
@server_option
@authority_option
@click.option("--certificate", type=_FILE, help="What to show it over mutual TLS.")
@click.option("--key", type=_FILE, help="That certificate's key.")
@click.option("--file", type=_FILE, help="Measure these weights (safetensors), no version.")
@click.option(
    "--tasks", type=_FILE, help="A tasks.toml that has the task.  [default: ask the server]"
)
@click.option(
    "--data",
    type=_FOLDER,
    help="MNIST's files, or test/CLASS/ with pictures.  [default: dataset/TASK]",
)
@click.option(
    "--backbones",
    type=_FOLDER,
    default=Path("backbones"),
    show_default=True,
    help="Weight files of backbones, where the task names one.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def evaluate(
    name: str,
    version: int | None,
    server: str,
    authority: Path | None,
    certificate: Path | None,
    key: Path | None,
    file: Path | None,
    tasks: Path | None,
    data: Path | None,
    backbones: Path,
    as_json: bool,
) -> None:
    """Print accuracy, loss and confusion matrix of a version on the test pictures.

    Where the main server wants people to log in, VIEWER_TOKEN or ADMIN_TOKEN is taken from the
    environment. With --file and --tasks no server is needed.
    """
    check_tls_options(server, authority=authority, certificate=certificate, key=key)
    tls = client_context(authority, certificate, key)
    with (
        closing(PublishedModels(server, token_of_the_environment(), tls)) as published,
        tempfile.TemporaryDirectory(prefix="fedbell-") as directory,
    ):
        task = _read_task(tasks, name) if tasks else published.task(name)
        folder = data or Path("dataset") / task.name
        samples = read_test(folder, task.classes, task.image_size, task.channels)
        weights = file or Path(directory) / "weights.safetensors"
        told = str(file) if file else str(published.download(task.name, version, weights))
        measured = _Measured(task, told, _measure(task, weights, samples, backbones))
    if as_json:
        click.echo(measured.as_json())
    else:
        _print(measured)


def _read_task(file: Path, name: str) -> Task:
    """A task of a tasks.toml. Raises ConfigurationError."""
    tables: Any = read_toml(file).get("tasks", {})
    if name not in tables:
        raise ConfigurationError(
            f"{file} has no task {name}. It has: {', '.join(sorted(tables)) or 'none'}."
        )
    try:
        return Task(**tables[name] | {"name": name})
    except (ValidationError, TypeError) as error:
        why = explain(error, Task.model_fields) if isinstance(error, ValidationError) else error
        raise ConfigurationError(f"{file}: tasks.{name}: {why}") from error


def _measure(task: Task, weights: Path, samples: Any, backbones: Path) -> "Evaluation":
    """Raises WrongModel, BackboneMissing, BackboneUnfit, UnreadableWeights, SchemaMismatch."""
    with quiet_libraries():
        # Here: TensorFlow takes seconds to import, and what is wrong before is told at once.
        from shared.learning.direct import evaluate_on
        from shared.learning.network import build_network

        network = build_network(task, backbones)
    with open_weights(weights) as opened:
        made_for = opened.metadata.get("fingerprint", network.fingerprint)
        if made_for != network.fingerprint:
            raise WrongModel(
                f"These weights are of another network, or were trained on another backbone, than "
                f"task {task.name} has here: {task.architecture} for {len(task.classes)} classes"
                f"{f', backbone {task.backbone}' if task.backbone else ''}. Take the task from the "
                "server that the weights come from, and its backbone."
            )
        network.load(dict(opened))
    return evaluate_on(network, samples)


def _print(measured: _Measured) -> None:
    result, console = measured.evaluation, Console()
    what = measured.version if not measured.version.isdecimal() else f"version {measured.version}"
    console.print(
        f"{measured.task.name}, {what}: accuracy {result.accuracy:.2%}, loss {result.loss:.4f}, "
        f"{result.num_samples:,} test pictures",
        highlight=False,
        soft_wrap=True,
    )
    classes, counts = measured.task.classes, result.confusion.tolist()
    if len(classes) <= _MOST_COLUMNS:
        console.print(_matrix(classes, counts))
    else:
        console.print(_confusions(classes, counts))


def _matrix(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> Table:
    """A row for each right class, a column for each answered one."""
    table = Table("right, answered", title="Confusion matrix", title_justify="left")
    for name in classes:
        table.add_column(name, justify="right")
    for name, row in zip(classes, counts, strict=True):
        table.add_row(name, *(str(count) if count else "·" for count in row))
    return table


def _confusions(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> Table:
    """The most frequent confusions."""
    table = Table("right", "answered", "pictures", title="Most confused", title_justify="left")
    wrong = [
        (count, right, answered)
        for right, row in enumerate(counts)
        for answered, count in enumerate(row)
        if count and right != answered
    ]
    for count, right, answered in sorted(wrong, key=lambda each: (-each[0], each))[:_MOST_COLUMNS]:
        table.add_row(classes[right], classes[answered], str(count))
    return table
