"""What containers ask of a server: over plain HTTP, over TLS, and with mutual TLS."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from shared.command_line.commands import main as fedbell
from tests.server import ROOT, Server, free_port, wait_until


def ask(**settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shared.web.health_check"],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("speaks", ["plain", "tls", "mutual"])
def test_it_asks_as_the_server_speaks(speaks: str, tmp_path: Path) -> None:
    settings: dict[str, str] = {}
    if speaks != "plain":
        told = ["certificates", "--directory", str(tmp_path / "tls"), "--name", "main_server"]
        assert CliRunner().invoke(fedbell, told).exit_code == 0
        settings["TLS_CERTIFICATE"] = str(tmp_path / "tls" / "main_server.pem")
        settings["TLS_KEY"] = str(tmp_path / "tls" / "main_server.key")
    if speaks == "mutual":
        settings["TLS_CLIENT_AUTHORITY"] = str(tmp_path / "tls" / "authority.pem")
    server = Server("main_server.wsgi:app", tmp_path, settings)
    server.start(wait=False)
    where = settings | {"BIND": f"127.0.0.1:{server.port}"}
    try:
        wait_until(lambda: ask(**where).returncode == 0)
        if speaks != "plain":  # and not as it does not speak
            assert ask(BIND=where["BIND"]).returncode
    finally:
        server.stop()
        server.http.close()


def test_nobody_is_there() -> None:
    done = ask(BIND=f"0.0.0.0:{free_port()}")
    assert done.returncode == 1
    assert done.stderr.strip() == "ConnectionRefusedError: [Errno 111] Connection refused"
