"""No server listens where others can call, unless they need tokens or it was told to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.web.access.binding import ALLOW, check_binding, check_tls, is_private
from tests.server import ROOT, free_port


@pytest.mark.parametrize(
    "bind", ["127.0.0.1:8000", "127.8.8.8:80", "localhost:8000", "[::1]:8000", "unix:/run/x"]
)
def test_this_machine(bind: str) -> None:
    assert is_private(bind)
    check_binding([bind], {})


@pytest.mark.parametrize(
    "bind",
    ["0.0.0.0:8000", ":8000", "[::]:8000", "192.0.2.1:80", "fd://3", "no.such.host.invalid:1", ""],
)
def test_others_can_call(bind: str) -> None:
    assert not is_private(bind)
    with pytest.raises(ConfigurationError, match="ADMIN_TOKEN and JOIN_TOKEN"):
        check_binding(["127.0.0.1:1", bind], {"ADMIN_TOKEN": " \n"})
    with pytest.raises(ConfigurationError, match="no JOIN_TOKEN"):
        check_binding([bind], {"ADMIN_TOKEN": "x", ALLOW: "yes"})
    check_binding([bind], {"ADMIN_TOKEN_FILE": "x", "JOIN_TOKEN": "x"})
    check_binding([bind], {ALLOW: "1"})


def test_sockets_that_are_handed_over_count_instead() -> None:
    with pytest.raises(ConfigurationError, match="ADMIN_TOKEN and JOIN_TOKEN"):
        check_binding(["127.0.0.1:8000"], {"LISTEN_FDS": "1"})


@pytest.mark.parametrize(
    "given", [("TLS_CLIENT_AUTHORITY",), ("TLS_CERTIFICATE",), ("TLS_KEY", "TLS_CLIENT_AUTHORITY")]
)
def test_half_of_tls_is_none(given: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="there would be no TLS"):
        check_tls(dict.fromkeys(given, "x"))
    check_tls({"TLS_CERTIFICATE": "x", "TLS_KEY": "x"})
    check_tls({"TLS_CERTIFICATE": ""})


@pytest.mark.parametrize("application", ["main_server.wsgi:app", "device1.wsgi:app"])
def test_a_server_says_so_and_ends(tmp_path: Path, application: str) -> None:
    told = {"BIND": f"0.0.0.0:{free_port()}", "STATE_DIRECTORY": str(tmp_path)}
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", application]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | told, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 4
    lines = [line for line in ended.stderr.splitlines() if line.startswith("The configuration")]
    assert len(lines) == 1
    assert "ALLOW_PUBLIC_WITHOUT_TOKENS=1" in lines[0]
    assert not list(tmp_path.iterdir())  # nothing was begun
