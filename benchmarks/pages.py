"""How fast the control page is, how much it sends, and what many open pages cost the server.

The store holds 1,000 rounds and 50 devices. The page is asked for as a browser does the first
time, with all that it loads. Then calls to the API are timed while no page is open, and while
20 are and a device tells of its training twice a second; pages ask as static/live.js does.
"""

import re
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urljoin

import httpx

from benchmarks.open_pages import open_pages
from benchmarks.processes import processor_seconds
from benchmarks.report import Claim, begin
from shared.federated.activity import Activity
from tests.main_server.filled_store import fill
from tests.server import ROOT, Server

ROUNDS, QUICK_ROUNDS = 1000, 50
DEVICES, QUICK_DEVICES = 50, 5
PAGES = 20
LOADS, QUICK_LOADS = 60, 5
SECONDS, QUICK_SECONDS = 20.0, 3.0
_TELL_SECONDS = 0.5
_CALL_SECONDS = 0.02
_BROWSER = {"Accept": "text/html", "Accept-Encoding": "gzip, deflate, br"}
_LOADED = re.compile(r'<(?:script|link|img)[^>]*? (?:src|href)="(/[^"]+)"')
_IMPORTED = re.compile(r'(?:from|import) "(\./[^"]+)"')


def main() -> None:
    run = begin("pages", __doc__)
    rounds = QUICK_ROUNDS if run.quick else ROUNDS
    devices = QUICK_DEVICES if run.quick else DEVICES
    with tempfile.TemporaryDirectory() as folder:
        tasks = ROOT / "main_server" / "tasks.toml"
        settings = {"TASKS_FILE": str(tasks), "WORKERS": "2"}
        server = Server("main_server.wsgi:app", Path(folder), settings)
        server.state.mkdir(parents=True)
        fill(server.state, rounds=rounds, devices=devices)
        server.start()
        try:
            loads = [_load(server.http) for _ in range(QUICK_LOADS if run.quick else LOADS)]
            wire = _wire(server.http)
            seconds = QUICK_SECONDS if run.quick else SECONDS
            alone = _calls(server, seconds)
            with _training(server), open_pages(server.url, PAGES) as pages:
                time.sleep(2)
                crowded = _calls(server, seconds)
            streams = sum(page.streams for page in pages)
            refreshes = sum(page.refreshes for page in pages)
        finally:
            server.stop()
            server.http.close()
    slowest = quantiles(loads, n=20)[-1]
    total = sum(wire.values())
    print(f"first page: median {median(loads):.1f} ms, 95 % within {slowest:.1f} ms")
    print(f"over the wire: {total / 1000:.1f} kB in {len(wire)} answers")
    print(f"{PAGES} open pages: {streams} with a stream, {refreshes} refreshes")
    for name, told in (("no page open", alone), (f"{PAGES} pages open", crowded)):
        print(f"calls, {name}: {told}")
    run.save(
        {
            "rounds": rounds,
            "devices": devices,
            "first_page_ms": {"median": median(loads), "p95": slowest},
            "wire_bytes": wire,
            "calls_alone": alone,
            "calls_with_pages": crowded,
            "open_pages": {"pages": PAGES, "streams": streams, "refreshes": refreshes},
        },
        [
            Claim(
                f"first page, {rounds} rounds and {devices} devices in the store, median",
                "",
                median(loads),
                None,
                "ms",
                100,
                limit="at most",
            ),
            Claim(
                "first page with all it loads, over the wire",
                "",
                total / 1000,
                None,
                "kB",
                300,
                limit="at most",
            ),
            Claim(
                f"an API call while {PAGES} pages follow a training, 95 % within",
                "",
                crowded["p95_ms"],
                None,
                "ms",
                None,
            ),
        ],
    )


def _load(client: httpx.Client) -> float:
    """Milliseconds until the whole page is there, over a new connection."""
    begun = time.perf_counter()
    answer = client.get("/", headers=_BROWSER)
    assert answer.is_success, answer.text
    return (time.perf_counter() - begun) * 1000


def _wire(client: httpx.Client) -> dict[str, int]:
    """Bytes of bodies as they are sent, by address: the page, and all that it loads."""
    sizes: dict[str, int] = {}
    waiting = ["/"]
    while waiting:
        address = waiting.pop()
        if address in sizes:
            continue
        answer = client.get(address, headers=_BROWSER)
        assert answer.is_success, address
        sizes[address] = answer.num_bytes_downloaded
        if address == "/":
            waiting += _LOADED.findall(answer.text)
        elif address.endswith(".js"):
            waiting += [urljoin(address, name) for name in _IMPORTED.findall(answer.text)]
    return sizes


def _calls(server: Server, seconds: float) -> dict[str, float]:
    """One API call after the other: how long they take, and how busy the server is meanwhile."""
    used = sum(map(processor_seconds, server.workers()))
    begun = time.perf_counter()
    times = []
    while time.perf_counter() - begun < seconds:
        before = time.perf_counter()
        assert server.http.get("/tasks").is_success
        times.append((time.perf_counter() - before) * 1000)
        time.sleep(_CALL_SECONDS)
    wall = time.perf_counter() - begun
    busy = (sum(map(processor_seconds, server.workers())) - used) / wall
    p95 = quantiles(times, n=20)[-1]
    return {"median_ms": median(times), "p95_ms": p95, "calls": len(times), "processors": busy}


@contextmanager
def _training(server: Server) -> Iterator[None]:
    """A device that tells of its training twice a second."""
    over = threading.Event()

    def tell() -> None:
        headers = {"Authorization": f"Bearer {secrets.token_urlsafe(32)}"}
        with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
            epoch = 0
            while not over.wait(_TELL_SECONDS):
                epoch += 1
                activity = Activity(
                    step="modeltrain",
                    phase="training",
                    done=epoch,
                    total=1000,
                    loss=1 / epoch,
                    accuracy=1 - 1 / epoch,
                    elapsed_seconds=epoch * _TELL_SECONDS,
                    eta_seconds=(1000 - epoch) * _TELL_SECONDS,
                )
                told = {"num_samples": 10, "activity": activity.model_dump(mode="json")}
                body = {"device": "busy", "url": "http://127.0.0.1:9", "tasks": {"digits": told}}
                client.post("/clientstatus", json=body, headers=headers).raise_for_status()

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


if __name__ == "__main__":
    main()
