"""Make the project's own virtual environment in .venv; ``make`` calls this file by its path.

    python3 shared/command_line/environment.py device|development|flower|runtimes

What excludes Fedbell's own packages goes into an environment of its own, .venv-flower say.

It needs nothing but Python: no pip, no git, no other program. When the lock file is
the one that was installed last, it does nothing. Its syntax is that of Python 3.6, so
that an old Python can say that it is too old.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)

ROOT = Path(__file__).resolve().parents[2]
SEPARATE = ("flower", "runtimes")

# `python` next to the script, wherever the folder has been moved to; `sh` alone, no dirname.
COMMAND = '#!/bin/sh\nexec "${0%/*}/python" -m shared.command_line "$@"\n'


def main(lock_name: str) -> None:
    """Install requirements/<lock_name>.lock, unless that is done."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        sys.exit(
            f"Fedbell needs Python 3.11, 3.12 or 3.13; found {sys.version.split()[0]} at "
            f"{sys.executable}. Install one of these, or name it: make run PYTHON=/path/to/python"
        )
    environment = ROOT / (f".venv-{lock_name}" if lock_name in SEPARATE else ".venv")
    python = str(environment / "bin" / "python")
    lock = ROOT / "requirements" / f"{lock_name}.lock"
    mark = f"{ROOT} {sys.version_info[:2]} {hashlib.sha256(lock.read_bytes()).hexdigest()}"
    stamp = environment / f".{lock_name}.installed"
    if stamp.exists() and stamp.read_text() == mark and works(python):
        return
    message = "Installing {} into {}; this happens once and takes a minute or two."
    print(message.format(lock.relative_to(ROOT), environment.name), flush=True)  # noqa: T201
    make_environment(environment)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    # The lock is complete. Older pips, which resolve it anew, trip over what was published since.
    install = ["install", "--quiet", "--require-hashes", "--no-deps", "-r", str(lock)]
    if subprocess.run([*pip, *install], check=False).returncode:
        sys.exit("The packages could not be installed (see above). Run the same command again.")
    if lock_name not in SEPARATE:
        put_fedbell_into(environment)
    stamp.write_text(mark)


def put_fedbell_into(environment: Path) -> None:
    """Let the environment's Python find Fedbell's modules, and people its command."""
    script = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run(
        [str(environment / "bin" / "python"), "-c", script],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    Path(packages, "fedbell.pth").write_text(f"{ROOT}\n", encoding="utf-8")
    command = environment / "bin" / "fedbell"
    command.write_text(COMMAND)
    command.chmod(0o755)


def make_environment(environment: Path) -> None:
    """Make it, from scratch when the one there belongs to another Python or is broken."""
    fresh = [] if works(str(environment / "bin" / "python")) else ["--clear"]
    command = [sys.executable, "-m", "venv", *fresh, str(environment)]
    if subprocess.run(command, check=False).returncode:
        sys.exit(
            f"{sys.executable} could not make a virtual environment (see above). On Debian and "
            f"Ubuntu this helps: apt install python3.{sys.version_info[1]}-venv"
        )


def works(python: str) -> bool:
    """Whether that Python runs and has this one's version."""
    script = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    try:
        return subprocess.run([python, "-c", script], check=False).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
