"""A real PostgreSQL for tests: Debian's binaries, a cluster of its own in a temporary folder.

It sorts as people do, unlike SQLite: what has to come out the same must not depend on that.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.server import free_port, wait_until

_INSTALLED = Path("/usr/lib/postgresql")
_STOP_SECONDS = 30
USER, PASSWORD = "fedbell", "a-password-that-nobody-may-see"
#: It ends with the tests, also when they are killed.
_UNTIL_STANDARD_INPUT_ENDS = '"$@" & server=$!; cat; kill -INT $server; wait $server'
_CUT_THE_OTHERS_OFF = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def binaries() -> Path | None:
    """Where the newest installed PostgreSQL has its programs; None when there is none."""
    found = [path.parent for path in _INSTALLED.glob("*/bin/postgres")]
    return max(found, key=lambda path: float(path.parent.name)) if found else None


def _owner() -> dict[str, Any]:
    """As whom it runs: PostgreSQL refuses to be root."""
    if os.getuid():
        return {}
    names = [name for name in ("postgres", "nobody") if name in {e.pw_name for e in pwd.getpwall()}]
    entry = pwd.getpwnam(names[0])
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


class PostgreSQL:
    """One database server. Call :meth:`close` at the end.

    Args:
        programs: where its programs lie.
    """

    def __init__(self, programs: Path) -> None:
        self.port = free_port()
        self._programs = programs
        self._owner = _owner()
        self._rested: list[str] = []
        self._directory = Path(tempfile.mkdtemp(prefix="fedbell-postgresql-"))
        self._process: subprocess.Popen[bytes] | None = None
        secret = self._directory / "password"
        secret.write_text(PASSWORD)
        if self._owner:
            for path in (self._directory, secret):
                os.chown(path, self._owner["user"], self._owner["group"])
        self._run(
            *("initdb", "--no-sync", f"--username={USER}", f"--pwfile={secret}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
            *("--locale-provider=icu", "--icu-locale=en-US", f"--pgdata={self._directory}/data"),
        )
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd="/",
            capture_output=True,
            check=False,
            **self._owner,
        )
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # What a test kills is a process, never the machine: nothing has to wait for the disk.
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
        }
        chosen = [word for pair in settings.items() for word in ("-c", "=".join(pair))]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("/bin/sh", "-c", _UNTIL_STANDARD_INPUT_ENDS, "sh"),
                    *(f"{self._programs}/postgres", "-D", f"{self._directory}/data", *chosen),
                ],
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._owner,
            )
        wait_until(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "log").read_text()
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def start_again(self) -> None:
        """Start it unless it runs."""
        if self._process is None:
            self.start()

    def stop(self) -> None:
        """Stop it; transactions are rolled back, connections cut."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(_STOP_SECONDS)
            self._process = None

    def close(self) -> None:
        """Stop it for good, and delete what it had."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of an empty database; what is in it is forgotten afterwards."""
        if self._rested:
            name = self._rested.pop()
        else:
            name = f"test_{os.urandom(8).hex()}"
            self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            # Emptied and used again: that is much quicker than making another.
            self.execute(_CUT_THE_OTHERS_OFF, name)
            self.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public", name)
            self._rested.append(name)

    def execute(self, statement: str, database: str = "postgres") -> None:
        """One statement, by itself."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())
