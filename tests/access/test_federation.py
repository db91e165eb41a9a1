"""Real servers with log-in: a whole round, a token that changes under it, TLS and mutual TLS."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from shared.command_line.commands import main as fedbell
from tests.server import Server, wait_until

from .conftest import ADMIN, VIEWER
from .federation import GuardedFederation

STEPS = ("modeltrain", "sendmodel", "aggregate_models", "send_model_clients")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``fedbell certificates`` writes."""
    return make_certificates(tmp_path_factory.mktemp("tls") / "own")


def make_certificates(directory: Path) -> Path:
    names = ["--name", "main_server", "--name", "device1"]
    told = CliRunner().invoke(fedbell, ["certificates", "--directory", str(directory), *names])
    assert told.exit_code == 0, told.output
    return directory


@contextlib.contextmanager
def running(federation: GuardedFederation) -> Iterator[GuardedFederation]:
    try:
        federation.start()
        yield federation
    finally:
        federation.close()


def whole_round(federation: GuardedFederation) -> None:
    for step in STEPS:
        federation.main.do(f"/{step}")
    assert federation.rounds()[-1]["status"] == "distributed"


def token_state(main: Server) -> tuple[bool, bool]:
    told = main.get("/devices")["devices"][0]
    return told["revoked"] is not None, told["rotation_asked"] is not None


def test_a_round_and_a_token_where_people_log_in(tmp_path: Path) -> None:
    with running(GuardedFederation(tmp_path)) as federation:
        main, device = federation.main, federation.devices["device1"]
        whole_round(federation)
        lines = device.http.get("/events.txt").text.splitlines()
        assert any("Trained on" in line and "  main server from 127" in line for line in lines)
        # Nobody else may ask the device for anything.
        for token, status in (("wrong-token", 401), (VIEWER, 403)):
            told = device.post("/modeltrain", headers={"Authorization": f"Bearer {token}"})
            assert told.status_code == status
        file = device.state / "token"
        assert file.stat().st_mode & 0o777 == 0o600
        before = file.read_text()
        run = ["tokens", "--server", main.url]
        runner = CliRunner(env={"ADMIN_TOKEN": ADMIN})
        assert runner.invoke(fedbell, [*run, "rotate", "device1"]).exit_code == 0
        wait_until(lambda: file.read_text() != before and not token_state(main)[1])
        listed = runner.invoke(fedbell, [*run, "list"])
        assert "device1" in listed.output
        assert "valid" in listed.output
        whole_round(federation)
        # Killed after the main server took a token and before the device knew: both files.
        device.kill()
        (device.state / "token.next").write_text(file.read_text())
        file.write_text(before)
        device.start()
        federation.caught_up("device1")
        wait_until(lambda: file.read_text() != before)
        whole_round(federation)
        assert runner.invoke(fedbell, [*run, "revoke", "device1"]).exit_code == 0
        wait_until(lambda: "revoked" in (device.status()["main_server"]["problem"] or ""))
        assert main.post("/modeltrain").status_code == 409  # no device takes part
        refused = runner.invoke(fedbell, [*run, "rotate", "nobody"])
        assert refused.exit_code == 1
        assert "There is no device nobody." in refused.output
        device.stop()
        wait_until(lambda: runner.invoke(fedbell, [*run, "forget", "device1"]).exit_code == 0)
        assert main.get("/devices")["devices"] == []
        other = CliRunner(env={"ADMIN_TOKEN": "not-the-token"}).invoke(fedbell, [*run, "list"])
        assert "Log in" in other.output


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_a_round_over_tls(tmp_path: Path, certificates: Path) -> None:
    federation = GuardedFederation(tmp_path, certificates)
    with running(federation):
        whole_round(federation)
        main = federation.main
        login = main.post("/login", data={"token": ADMIN})
        assert "Secure" in login.headers["Set-Cookie"]
        assert "Strict-Transport-Security" not in login.headers
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            httpx.get(f"{main.url}/healthz", trust_env=False)
        old = ssl.create_default_context(cafile=certificates / "authority.pem")
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with (
            pytest.raises((ssl.SSLError, OSError)),
            socket.create_connection(("127.0.0.1", main.port), 10) as plain,
            old.wrap_socket(plain, server_hostname="localhost"),
        ):
            pass


def test_a_round_over_mutual_tls(tmp_path: Path, certificates: Path) -> None:
    federation = GuardedFederation(tmp_path / "federation", certificates, mutual=True)
    foreign = make_certificates(tmp_path / "foreign")
    with running(federation):
        whole_round(federation)
        for server in federation.servers:
            for name, folder in ((None, None), ("device1", foreign)):
                with (
                    federation.client(server, name, folder) as stranger,
                    pytest.raises(httpx.TransportError),
                ):
                    stranger.get("/healthz")
            with federation.client(server, "device1") as known:
                assert known.get("/healthz").is_success
