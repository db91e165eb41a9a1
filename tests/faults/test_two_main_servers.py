"""Two main servers behind one address, with one PostgreSQL and one state directory."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.main_servers import TWO, MainServers, Store
from tests.federation import Federation
from tests.postgresql import PASSWORD, PostgreSQL
from tests.server import Server, wait_until

pytestmark = pytest.mark.faults

STEPS = ("/modeltrain", "/sendmodel", "/aggregate_models", "/send_model_clients")


class House:
    """A federation whose devices know one address, behind which there are two main servers."""

    def __init__(self, federation: Federation, database: str) -> None:
        self.federation = federation
        self.main_servers = MainServers(federation.main, Store(TWO, database))
        self.servers, self.http = self.main_servers.servers, self.main_servers.http
        for device in federation.devices.values():
            # A call that a server took with it is made again soon.
            device.environment |= {"MAIN_SERVER_URL": self.main_servers.url, "ANSWER_SECONDS": "3"}

    @property
    def went_to(self) -> list[int]:
        """To which port each connection went, oldest first."""
        assert self.main_servers.proxy is not None
        return self.main_servers.proxy.went_to

    def start(self) -> None:
        self.servers[1].start(wait=False)
        self.federation.start()
        wait_until(self.servers[1].is_ready)

    def close(self) -> None:
        self.federation.close()
        self.main_servers.close()

    def do(self, path: str, body: Any = None) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.is_success, f"{path}: {answer.text}"
        return answer.json()


@pytest.fixture(scope="module")
def house(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    federation = Federation(tmp_path_factory.mktemp("two"))
    federation.write_pictures()
    with postgresql.database() as url:
        house = House(federation, url)
        try:
            house.start()
            yield house
        finally:
            house.close()


def acknowledged(server: Server) -> dict[str, Any]:
    """What may never be lost: versions, and the updates that rounds count."""
    rounds = server.get("/rounds?limit=500")["rounds"]
    return {
        "versions": {each["version"]: each["sha256"] for each in _versions(server)},
        "updates": {each["number"]: each["updates"] for each in rounds},
    }


def _versions(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get("/models?limit=500")["versions"]
    return found


def test_a_round_by_four_calls_wherever_each_arrives(house: House) -> None:
    before = len(house.went_to)
    for step in STEPS:
        house.do(step)
    assert set(house.went_to[before:]) == {server.port for server in house.servers}
    first, second = (acknowledged(server) for server in house.servers)
    assert first == second
    assert set(first["versions"]) == {0, 1}
    assert len(first["updates"][1]) == 2
    for version in _versions(house.servers[0]):
        content = house.http.get(f"/models/{version['version']}").content
        assert hashlib.sha256(content).hexdigest() == version["sha256"]
    assert not (house.servers[0].state / "main_server.db").exists()


def test_events_come_from_both_in_one_order(house: House) -> None:
    told = [server.http.get("/events.txt").text for server in house.servers]
    assert told[0].splitlines()[:10] == told[1].splitlines()[:10]
    assert "version 1 of 2 updates" in told[0]


def test_one_is_killed_in_the_middle_and_the_other_goes_on(house: House) -> None:
    dies, lives = house.servers
    newest = max(acknowledged(lives)["versions"])
    job = dies.begin("/run_rounds", {"rounds": 3})
    wait_until(lambda: max(acknowledged(lives)["versions"]) > newest)
    # The next round is at work: kill it as soon as an update of it is acknowledged.
    wait_until(lambda: lives.get("/rounds?limit=1")["rounds"][0]["updates"])
    before = acknowledged(lives)
    dies.kill()
    after = acknowledged(lives)
    assert after["versions"].items() >= before["versions"].items()
    for number, updates in before["updates"].items():
        assert after["updates"][number].items() >= updates.items()
    told = wait_until(lambda: _ended(lives, job))
    assert (told["status"], told["problem"]["type"]) == ("failed", "urn:fedbell:problem:job-lost")

    def goes_on() -> bool:
        answer = house.http.post("/run_rounds", json={"rounds": 1, "finish": True})
        rounds = answer.json().get("rounds", []) if answer.is_success else []
        return bool(rounds) and max(acknowledged(lives)["versions"]) > max(before["versions"])

    wait_until(goes_on)  # a device may still be at what the one that died had asked for
    after = acknowledged(lives)
    assert after["versions"].items() >= before["versions"].items()
    for number, updates in before["updates"].items():
        assert after["updates"][number].keys() >= updates.keys()
    dies.start()
    assert acknowledged(dies) == acknowledged(lives)
    for step in STEPS:
        house.do(step)


def _ended(server: Server, job: str) -> Any:
    told = server.get(job)
    return told if told["status"] != "running" else None


def test_while_the_database_is_away_all_say_so_and_go_on_when_it_is_back(
    house: House, postgresql: PostgreSQL
) -> None:
    before = acknowledged(house.servers[0])
    postgresql.stop()
    try:
        for server in house.servers:
            assert server.http.get("/healthz").is_success
            for call in ("GET /readyz", "GET /rounds", "POST /modeltrain", "GET /events"):
                method, path = call.split()
                answer = server.http.request(method, path)
                assert answer.status_code == 503, (call, answer.text)
                assert answer.json()["type"] == "urn:fedbell:problem:database-away"
                assert answer.headers["Retry-After"] == "5"
            page = server.http.get("/", headers={"Accept": "text/html"})
            assert page.status_code == 503
            assert "does not answer as it should" in page.text
    finally:
        postgresql.start()
    for server in house.servers:
        wait_until(server.is_ready)
    assert acknowledged(house.servers[1]) == before
    for step in STEPS:
        house.do(step)
    newest = max(before["versions"]) + 1
    assert max(acknowledged(house.servers[0])["versions"]) == newest
    for server in (*house.servers, *house.federation.devices.values()):
        assert PASSWORD not in server.log.read_text(errors="replace")
