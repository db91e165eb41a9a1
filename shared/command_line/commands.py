"""The commands of ``fedbell``, by click."""

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from shared.command_line.certificates import certificates
from shared.command_line.client import client
from shared.command_line.evaluate import evaluate
from shared.command_line.launcher import run_servers
from shared.command_line.servers import device_names
from shared.command_line.state import forget_state
from shared.command_line.strategies import strategies
from shared.command_line.tokens import tokens
from shared.errors import FedbellError

_DATASET = click.option(
    "--directory",
    type=click.Path(path_type=Path),
    default=Path("dataset"),
    show_default=True,
    help="The folder with the devices' pictures.",
)


class _Group(click.Group):
    """Turns our own errors into one message on standard error and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FedbellError as error:
            raise click.ClickException(error.detail) from error


@click.group(cls=_Group)
def main() -> None:
    """Fedbell: devices learn one image classifier together; their pictures stay at home."""


@main.command()
@click.option("--port", default=8000, show_default=True, help="The main server's port.")
@click.option(
    "--timeout", default=120.0, show_default=True, help="Seconds until all must be ready."
)
@click.option("--only", metavar="NAME", multiple=True, help="Start this server; repeatable.")
def run(port: int, timeout: float, only: tuple[str, ...]) -> None:
    """Start the main server and every device; Ctrl-C stops them.

    A device is a folder with a device.toml. State and logs are kept in ./state.
    """
    if not run_servers(Path.cwd(), click.echo, port, timeout, only):
        sys.exit(1)


main.add_command(certificates)
main.add_command(client)
main.add_command(evaluate)
main.add_command(strategies)
main.add_command(tokens)


@main.command("clean-state")
def clean_state() -> None:
    """Forget all rounds, models and devices. Not while the servers run."""
    if forget_state(Path.cwd()):
        click.echo("All rounds, models and devices are forgotten. Pictures are as they were.")


@main.group()
def dataset() -> None:
    """Prepare the devices' pictures."""


@dataset.command()
@_DATASET
@click.option("--device", "devices", multiple=True, help="A device; all in this folder by default.")
def digits(directory: Path, devices: tuple[str, ...]) -> None:
    """Deal scikit-learn's handwritten digits to the devices (the built-in task)."""
    # Here and below: OpenCV takes a moment to import, and `fedbell run` does without it.
    from shared.datasets import DigitsChanged, write_digits

    names = list(dict.fromkeys(devices)) or device_names(Path.cwd()) or ["device1", "device2"]
    try:
        written = write_digits(directory, names)
    except DigitsChanged as error:
        # No failure: `make run` goes on with the pictures that there are.
        click.echo(error.detail, err=True)
        return
    for name in written:
        click.echo(f"Wrote {directory / name / 'digits'}")


@dataset.command("import")
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--task", required=True, help="Name of the new task.")
@_DATASET
def import_(path: Path, task: str, directory: Path) -> None:
    """Copy pictures from PATH/Client1/{train,valid,test}/CLASS/ to the devices."""
    from shared.datasets import import_reference

    report = import_reference(path, task, directory)
    table = Table("device", "split", "class", "pictures")
    for (device, split, name), count in sorted(report.counts.items()):
        table.add_row(device, split, name, str(count))
    Console().print(table)
    for reason in report.skipped.values():
        click.echo(f"Left out: {reason}")
    for name in sorted(set(report.devices) - set(device_names(Path.cwd()))):
        click.echo(f"There is no device {name} yet: the README says how to add one.")
    click.echo(f"Now add to main_server/tasks.toml, and start again:\n\n{report.tasks_toml}")
