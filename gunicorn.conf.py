"""How Gunicorn serves every server of Fedbell; each setting can be set by environment.

BIND, WORKERS, THREADS, TIMEOUT and GRACEFUL_TIMEOUT (seconds) are read here, and WSGI_APP,
the application, where the command line names none.
Nothing is loaded before the fork: a device's trainer must never be a fork's child.
"""

import os
import signal
import threading
from pathlib import Path

wsgi_app = os.environ.get("WSGI_APP")
bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = int(os.environ.get("WORKERS", "1"))
# An open page holds one thread for its events, so there are more than requests at work.
threads = int(os.environ.get("THREADS", "16"))
worker_class = "gthread"
preload_app = False
# With gthread this is the time without a sign of life, not that of one request.
timeout = int(os.environ.get("TIMEOUT", "60"))
graceful_timeout = int(os.environ.get("GRACEFUL_TIMEOUT", "10"))
# The heartbeat file must not wait for a disk, nor need one that can be written to.
_memory = Path("/dev/shm")  # noqa: S108
if _memory.is_dir() and os.access(_memory, os.W_OK):
    worker_tmp_dir = str(_memory)
control_socket_disable = True
accesslog = "-"
# The raw request line: a decoded path could hold a line break and forge a line.
access_log_format = '%(t)s %(h)s "%(r)s" %(s)s %(B)s bytes %(M)s ms'


def on_starting(_: object) -> None:
    """Tie this server's life to that of the launcher, which holds the other end of stdin."""
    if os.environ.get("STOP_WITH_STDIN") == "1":
        threading.Thread(target=_stop_with_stdin, daemon=True).start()


def _stop_with_stdin() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
