"""``fedbell client`` in the process of the tests: until it ends by itself, before any training."""

from pathlib import Path

from click.testing import CliRunner, Result

from shared.command_line.commands import main


def run(directory: Path, *options: str) -> Result:
    """Run a client. Use the fixture process_as_before: it sets up its process for itself."""
    required = ["--id=alice", "--task=mnist", "--shards", "2", "4", f"--data={directory}"]
    return CliRunner().invoke(main, ["client", *required, *options])


def sentence(result: Result) -> str:
    """The one line that says what is wrong."""
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line
