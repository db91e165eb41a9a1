"""Start the servers as processes, wait until they are ready, watch them, stop them.

Each server is a Gunicorn in a session of its own, so a Ctrl-C in the terminal
reaches the launcher alone, which then stops them in order. They hold the other
end of a pipe: when the launcher is killed, it closes, and they stop by themselves
(gunicorn.conf.py).
"""

import http.client
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from shared.command_line.servers import MAIN_SERVER, Server, check_ports, find_servers
from shared.command_line.state import lock_state
from shared.errors import ConfigurationError, FedbellError

#: Longer than Gunicorn's graceful time-out, in seconds; then a server is killed.
STOP_SECONDS = 15
_LOG_LINES = 15
_DEFAULT_PORT = 8000
#: The main server keeps no state in its process, and two show that it stays so.
_MAIN_SERVER_WORKERS = "2"


class ServerFailed(FedbellError):
    """A server died, or was not ready in time."""

    title = "A server did not start"


@dataclass(frozen=True)
class Running:
    """A server's process and the file that holds what it printed."""

    server: Server
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def last_lines(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-_LOG_LINES:])

    @property
    def misconfigured(self) -> str | None:
        """What the server says is wrong with its configuration, if it says so."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line for line in lines if line.startswith(ConfigurationError.title)), None)


def run_servers(
    root: Path,
    say: Callable[[str], None],
    port: int = _DEFAULT_PORT,
    timeout_seconds: float = 120,
    only: Collection[str] = (),
) -> bool:
    """Run the servers until SIGINT, SIGTERM or SIGHUP, or until the last of them has died.

    Args:
        root: Fedbell's folder; state is kept in its ``state``.
        say: prints one message to the person.
        port: the main server's.
        timeout_seconds: how long the servers may take to be ready.
        only: names of those to run; empty: all.

    Returns:
        Whether it was asked to stop; False when no server was left.

    Raises:
        StateInUse: these servers run already.
        ConfigurationError: a device.toml or BIND cannot be used, or there is no such server.
        PortTaken: nothing was started.
        ServerFailed: one died or was not ready in time; all are stopped again.
    """
    servers = find_servers(root, port, only)
    lock = lock_state(root)
    main = next((server for server in servers if server.name == MAIN_SERVER), None)
    check_ports(servers)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    running: list[Running] = []
    try:
        for server in servers:
            # One by one: those that run must be stopped when the next cannot start.
            running.append(_start(root, server, main))  # noqa: PERF401
        _wait_until_ready(running, stop, timeout_seconds)
        if not stop.is_set():
            for server in [main] if main else servers:
                name = "Fedbell" if main else server.name
                say(f"{name} is ready: {server.url.replace('127.0.0.1', 'localhost')}/")
            say("Ctrl-C stops it.")
        return _watch(running, stop, say)
    finally:
        _stop(running)
        lock.release()


def _start(root: Path, server: Server, main: Server | None) -> Running:
    state = root / "state" / server.name
    state.mkdir(parents=True, exist_ok=True)
    log = state / "server.log"
    if log.exists():
        log.replace(state / "server.log.1")
    host = f"[{server.host}]" if ":" in server.host else server.host
    environment = os.environ | {
        "BIND": f"{host}:{server.port}",
        "STATE_DIRECTORY": str(state),
        "STOP_WITH_STDIN": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if server.name == MAIN_SERVER:
        environment["WORKERS"] = os.environ.get("WORKERS", _MAIN_SERVER_WORKERS)
    else:
        environment["WORKERS"] = "1"
        if main and (main.reached_at, main.port) != ("127.0.0.1", _DEFAULT_PORT):
            environment["MAIN_SERVER_URL"] = main.url
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"{server.name}.wsgi:app"],
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Running(server, process, log)


def _wait_until_ready(running: list[Running], stop: threading.Event, seconds: float) -> None:
    deadline = monotonic() + seconds
    waiting = list(running)
    while waiting and not stop.is_set():
        for one in running:
            if one.process.poll() is not None:
                if one.misconfigured:
                    raise ServerFailed(f"{one.server.name} did not start. {one.misconfigured}")
                raise ServerFailed(
                    f"{one.server.name} stopped with status {one.process.returncode} while it "
                    f"started. Its last lines ({one.log}):\n{one.last_lines}"
                )
        answers = {one.server.name: _readiness(one.server) for one in waiting}
        waiting = [one for one in waiting if answers[one.server.name] != "200"]
        if waiting and monotonic() > deadline:
            one = waiting[0]
            raise ServerFailed(
                f"{one.server.name} was not ready within {seconds:g} s (GET /readyz: "
                f"{answers[one.server.name]}). Its last lines ({one.log}):\n{one.last_lines}"
            )
        stop.wait(0.1 if waiting else 0)


def _readiness(server: Server) -> str:
    """The status that /readyz answers with, or why there is none."""
    connection = _connection(server)
    try:
        # Every server answers for localhost, whatever address it listens on.
        connection.request("GET", "/readyz", headers={"Host": "localhost"})
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()


def _connection(server: Server) -> http.client.HTTPConnection:
    """To a server of our own; over TLS if it was told to. It may be reached by another name than
    this, so its certificate is not checked; it is shown its own where it asks for one."""
    certificate = os.environ.get("TLS_CERTIFICATE")
    if not certificate:
        return http.client.HTTPConnection(server.reached_at, server.port, timeout=5)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        context.load_cert_chain(certificate, os.environ.get("TLS_KEY") or None)
    except OSError as error:
        raise ConfigurationError(f"TLS_CERTIFICATE and TLS_KEY: {error}.") from error
    return http.client.HTTPSConnection(server.reached_at, server.port, timeout=5, context=context)


def _watch(running: list[Running], stop: threading.Event, say: Callable[[str], None]) -> bool:
    alive = list(running)
    while alive and not stop.wait(0.3):
        for one in [one for one in alive if one.process.poll() is not None]:
            alive.remove(one)
            others = "The others go on" if alive else "No server is left"
            say(
                f"{one.server.name} stopped with status {one.process.returncode}. {others}. "
                f"Its last lines ({one.log}):\n{one.last_lines}"
            )
    return stop.is_set()


def _stop(running: list[Running]) -> None:
    """Ask every server to stop, and kill those that do not, with their whole session."""
    alive = [one for one in running if one.process.poll() is None]
    for one in alive:
        one.process.terminate()
    deadline = monotonic() + STOP_SECONDS
    for one in alive:
        try:
            one.process.wait(max(0.0, deadline - monotonic()))
        except subprocess.TimeoutExpired:
            # Not reaped yet, so the number still means this server and its workers.
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()
