"""How Gunicorn serves every server of Fedbell; each setting can be set by environment.

BIND, WORKERS, THREADS, WORKER_CONNECTIONS, TIMEOUT and GRACEFUL_TIMEOUT (seconds) are read here,
and WSGI_APP, the application, where the command line names none.
Of the main server the modules are loaded before the fork, once for all workers; the
application, its threads and its connections are each worker's own. Of a device nothing is: its
trainer must never be a fork's child, and with one worker there is nothing to share.

TLS_CERTIFICATE and TLS_KEY (PEM files) make it serve TLS, TLS_CLIENT_AUTHORITY besides only clients
whose certificate that authority signed. It does not listen where other machines can call unless
ADMIN_TOKEN and JOIN_TOKEN are set, or ALLOW_PUBLIC_WITHOUT_TOKENS=1: see docs/security.md.
"""

import contextlib
import gc
import importlib
import os
import resource
import signal
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import configuration_error_ends_the_server
from shared.web.access.binding import check_binding, check_tls

if TYPE_CHECKING:
    from collections.abc import Callable

    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.gthread import ThreadWorker
    from jinja2 import Environment

wsgi_app = os.environ.get("WSGI_APP")
bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = int(os.environ.get("WORKERS", "1"))
# An open page holds one thread for its events, so there are more than requests at work.
threads = int(os.environ.get("THREADS", "16"))
# Threads are for calls that are here: PatientWorker waits for the slow.
worker_class = "shared.web.serving.PatientWorker"
preload_app = False
worker_connections = int(os.environ.get("WORKER_CONNECTIONS", "1000"))
# With threads this is the time without a sign of life, not that of one request.
timeout = int(os.environ.get("TIMEOUT", "60"))
graceful_timeout = int(os.environ.get("GRACEFUL_TIMEOUT", "10"))
# The heartbeat file must not wait for a disk, nor need one that can be written to.
_memory = Path("/dev/shm")  # noqa: S108
if _memory.is_dir() and os.access(_memory, os.W_OK):
    worker_tmp_dir = str(_memory)
control_socket_disable = True
certfile = os.environ.get("TLS_CERTIFICATE") or None
keyfile = os.environ.get("TLS_KEY") or None
ca_certs = os.environ.get("TLS_CLIENT_AUTHORITY") or None
cert_reqs = ssl.CERT_REQUIRED if ca_certs else ssl.CERT_NONE
accesslog = "-"
# The raw request line: a decoded path could hold a line break and forge a line.
access_log_format = '%(t)s %(h)s "%(r)s" %(s)s %(B)s bytes %(M)s ms'


def on_starting(arbiter: "Arbiter") -> None:
    """Look where it is to listen, load what workers share; tie this server's life to that of the
    launcher, if it has one."""
    with configuration_error_ends_the_server():
        check_binding(arbiter.cfg.bind, os.environ)
        check_tls(os.environ)
    _allow_open_files()
    package = arbiter.app.app_uri.partition(".")[0]
    if package == "main_server":
        _load_for_all_workers(package)
    # After that: a thread does not survive a fork, and imports need not share the processor.
    if os.environ.get("STOP_WITH_STDIN") == "1":
        threading.Thread(target=_stop_with_stdin, daemon=True).start()


def ssl_context(_config: "Any", usual: "Callable[[], ssl.SSLContext]") -> ssl.SSLContext:
    """TLS 1.2 or newer."""
    context = usual()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def post_worker_init(worker: "ThreadWorker") -> None:
    """Read the templates beside the first calls, so that nobody's first page waits for them."""
    templates = getattr(worker.wsgi, "jinja_env", None)
    if templates is not None:
        threading.Thread(target=_read_templates, args=[templates], daemon=True).start()


def _read_templates(environment: "Environment") -> None:
    for name in environment.list_templates():
        if "/" not in name:  # Bootstrap-Flask's macros, which no page uses
            environment.get_template(name)


def _allow_open_files() -> None:
    """As many as the system grants: a round with a thousand devices has a thousand files.

    Many systems begin with 1024 and leave it to the program to ask for more.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS grants less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _load_for_all_workers(package: str) -> None:
    """Import a package, so that its code lies in memory once, and is read once.

    Modules stay what they were at the start of the arbiter, also after a SIGHUP.
    """
    # NumPy's threads would be started here and be missing in the workers; the main server
    # multiplies no matrices.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Nothing is garbage yet; and a collection in a worker would write to each shared page.
    gc.disable()
    importlib.import_module(package)
    gc.freeze()
    gc.enable()


def _stop_with_stdin() -> None:
    """The launcher holds the other end of standard input; when it is gone, so is this."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
