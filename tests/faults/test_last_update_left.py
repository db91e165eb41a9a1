"""Two main servers: the one that took the last update of a round dies for good with it."""

from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save

from shared.federated.weights import Schema
from tests.faults.kill_points import Trap
from tests.main_server.conftest import BACKBONE, ThinDevice, initial_weights
from tests.server import Server, wait_until

pytestmark = pytest.mark.faults

_TASKS = """
[tasks.digits]
classes = ["0", "1"]
{}
"""
#: What is at work beside the call that is to be caught.
_BESIDE = ("heartbeat", "told", "_look_after", "_look")


class Client:
    """A device without an address, over real HTTP."""

    def __init__(self, name: str) -> None:
        self._thin = ThinDevice(None, name)  # type: ignore[arg-type]

    def beat(self, server: Server) -> None:
        body = {"device": self._thin.name, "url": None, "tasks": {"digits": {"num_samples": 10}}}
        answer = server.http.post("/clientstatus", json=body, headers=self._thin.headers)
        assert answer.is_success, answer.text

    def offer(self, server: Server) -> None:
        weights = initial_weights()
        told = {
            "task": "digits",
            "backbone": BACKBONE,
            "fingerprint": Schema.of(weights).fingerprint(BACKBONE),
        }
        content = save(weights, told)
        answer = server.http.put("/models/0", content=content, headers=self._thin.headers)
        assert answer.is_success, answer.text

    def push(self, server: Server, base: int) -> Any:
        content = self._thin.update(base_version=base)
        return server.http.post("/cmodel", content=content, headers=self._thin.headers)


@pytest.mark.parametrize(
    "settings", ["rounds = {number = 1, over_selection = 1}", "auto_aggregate = true"]
)
def test_the_other_one_makes_the_version(tmp_path: Path, settings: str) -> None:
    tasks = tmp_path / "tasks.toml"
    tasks.write_text(_TASKS.format(settings))
    environment = {"TASKS_FILE": str(tasks), "HEARTBEAT_SECONDS": "0.5", "WORKERS": "1"}
    dies = Server("main_server.wsgi:app", tmp_path / "dies", environment)
    lives = Server("main_server.wsgi:app", tmp_path / "lives", environment)
    lives.state = dies.state
    trap = Trap(dies, tmp_path / "trap")
    clients = [Client("client1"), Client("client2")]
    lives.log.parent.mkdir()
    try:
        dies.start()
        lives.start()
        for client in clients:
            client.beat(lives)
        clients[0].offer(lives)
        # What a push writes, up to its acknowledgement.
        trap.arm(10**6, "after", _BESIDE)
        assert clients[0].push(dies, 0).is_success
        commits = [place for place in trap.writes if " COMMIT " in place]
        wait_until(lambda: _round(lives, 1).get("status") == "distributed")
        number = int(commits[0].split()[0])
        trap.arm(number, "after", _BESIDE)
        with pytest.raises(Exception, match=r"disconnected|reset|refused"):
            clients[1].push(dies, 1)
        assert _round(lives, 2)["num_updates"] == 1, trap.writes
        wait_until(lambda: _round(lives, 2)["status"] == "distributed")
        assert _round(lives, 2)["updates"].keys() == {"client2"}
    finally:
        for server in (dies, lives):
            server.stop()
            server.http.close()


def _round(server: Server, number: int) -> dict[str, Any]:
    answer = server.http.get(f"/rounds/{number}")
    return dict(answer.json()) if answer.is_success else {}
