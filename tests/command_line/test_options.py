"""Options that several commands have, told alike in all of them."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shared.command_line.commands import main
from shared.device.client import process
from shared.device.client.settings import ClientSettings
from shared.errors import ConfigurationError
from tests.server import free_port

COMMANDS = {
    "client": ["client", "--id=alice", "--task=mnist", "--shards", "1", "2", "--data=nowhere"],
    "evaluate": ["evaluate", "--task=mnist"],
    "tokens": ["tokens"],
}


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One of them; what a client is told ends it, as it would go on trying."""

    def run_client(settings: ClientSettings) -> None:
        settings.tls()
        raise ConfigurationError(f"It would call {settings.main_server_url}.")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "run_client", run_client)
    return str(request.param)


def run(command: str, *options: str, **environment: str) -> Result:
    arguments = [*COMMANDS[command], *options, *(["list"] if command == "tokens" else [])]
    return CliRunner().invoke(main, arguments, env=environment)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "localhost", "http://", "http://[::1", "http://a:b"]
)
def test_what_is_no_address_is_told_before_anything_is_asked(command: str, address: str) -> None:
    sentence = f"{address!r} is no address such as http://localhost:8000.\n"
    told = run(command, f"--server={address}")
    assert (told.exit_code, told.output) == (1, f"Error: --server: {sentence}")
    told = run(command, MAIN_SERVER_URL=address)
    assert (told.exit_code, told.output) == (1, f"Error: MAIN_SERVER_URL: {sentence}")


def test_the_environment_tells_the_address_unless_the_option_does(command: str) -> None:
    own, other = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    assert own in run(command, MAIN_SERVER_URL=own).output
    assert own in run(command, f"--server={own}", MAIN_SERVER_URL=other).output


def test_help_names_the_environment() -> None:
    for command in COMMANDS:
        told = " ".join(CliRunner().invoke(main, [command, "--help"]).output.split())
        assert "env var: MAIN_SERVER_URL; default: http://127.0.0.1:8000" in told
        assert "env var: MAIN_SERVER_AUTHORITY" in told
    assert "--shards FIRST LAST " in CliRunner().invoke(main, ["client", "--help"]).output


def test_the_environment_tells_the_authority(command: str) -> None:
    told = run(command, "--server=https://127.0.0.1:9", MAIN_SERVER_AUTHORITY="missing.pem")
    assert told.exit_code == 1
    assert "Of missing.pem one cannot be used for TLS" in told.output


def test_what_is_for_tls_is_refused_without_it_by_its_own_name(command: str) -> None:
    told = run(command, MAIN_SERVER_AUTHORITY="some.pem")
    why = "is for TLS, and http://127.0.0.1:8000 is without: say https://….\n"
    assert (told.exit_code, told.output) == (1, f"Error: MAIN_SERVER_AUTHORITY {why}")
    told = run(command, "--authority=some.pem")
    assert (told.exit_code, told.output) == (1, f"Error: --authority {why}")
