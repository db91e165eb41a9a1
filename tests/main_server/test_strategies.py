"""Strategies are chosen between rounds: what is in use, what follows, and what a restart keeps."""

import json
import re
import shlex
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from safetensors.numpy import load
from sqlalchemy import text

from shared.errors import ConfigurationError
from shared.federated.aggregation import ASYNCHRONOUS_STRATEGIES, STRATEGIES
from shared.federated.choice import HEADER, MOST_HEADER_CHARACTERS
from tests.server import ROOT, wait_until

from .answering_device import AnsweringDevice
from .conftest import ThinDevice, snapshot, store_of
from .test_versions import close_round, events, filled

FEDAVG: tuple[str, Any] = ("fedavg", {})
#: In a first round it moves the model by half of what FedAvg does.
HALF = ("fedavgm", {"server_learning_rate": 0.5, "momentum": 0.0})
PROX = ("fedprox", {"mu": 0.1})


def choose(client: FlaskClient, chosen: tuple[str, Any], task: str = "digits") -> int:
    """Choose a strategy; the number of the first round that goes by it."""
    body = dict(zip(("strategy", "parameters"), chosen, strict=True))
    answer = client.post(f"/strategy?task={task}", json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()
    number = told.pop("from_round")
    assert told == {"task": task, "strategy": body["strategy"], "parameters": told["parameters"]}
    assert told["parameters"].items() >= body["parameters"].items()
    return int(number)


def goes_by(client: FlaskClient) -> tuple[Any, Any]:
    """The strategy in use, and the one from the next round on."""
    told = client.get("/strategies?task=digits").get_json()
    now, following = (
        each and (each["strategy"], each["parameters"])
        for each in (told["in_use"], told["following"])
    )
    return now, following


def told_to_devices(client: FlaskClient, **headers: str) -> Any:
    """What comes with the newest version."""
    told = json.loads(client.get("/models/latest", headers=headers, buffered=True).headers[HEADER])
    return told["strategy"], told["strategy_parameters"]


def bias(client: FlaskClient) -> float:
    """A number of the newest version; in version 0 it is 0."""
    return float(load(client.get("/models/latest", buffered=True).data)["head/bias"][0])


def rounds(client: FlaskClient) -> list[tuple[str, Any]]:
    """The strategy and parameters of each round, oldest first."""
    rows = client.get("/rounds").json["rounds"]
    return [(row["strategy"], row["parameters"]) for row in reversed(rows)]


@pytest.fixture
def restart(make_app: Callable[..., APIFlask], tmp_path: Path) -> Callable[..., FlaskClient]:
    """The main server again; with lines of tasks.toml for task digits."""
    file = tmp_path / "tasks.toml"
    original = file.read_text()

    def again(lines: str = "") -> FlaskClient:
        file.write_text(original.replace("seed = 7", f"seed = 7\n{lines}"))
        return make_app().test_client()

    return again


@pytest.mark.one_database
def test_all_strategies_are_listed(client: FlaskClient) -> None:
    told = client.get("/strategies").json
    assert (told["task"], told["mode"], told["following"]) == ("digits", "sync", None)
    assert told["in_use"] == {"strategy": "fedavg", "title": "FedAvg", "parameters": {}}
    assert [each["name"] for each in told["strategies"]] == list(STRATEGIES)
    assert [each["name"] for each in told["asynchronous_rules"]] == list(ASYNCHRONOUS_STRATEGIES)
    for each in told["strategies"] + told["asynchronous_rules"]:
        assert each["title"], each
        assert each["summary"].endswith("."), each
        for parameter in each["parameters"]:
            assert parameter["description"].endswith("."), parameter
            assert "default" in parameter
    prox = next(each for each in told["strategies"] if each["name"] == "fedprox")
    assert prox["link"] == "https://arxiv.org/abs/1812.06127"
    (mu,) = prox["parameters"]
    assert (mu["name"], mu["default"], mu["minimum"], mu["maximum"]) == ("mu", 0.01, 0, 1000)


def test_what_is_chosen_before_a_round_is_for_it(device: ThinDevice) -> None:
    client = device.client
    assert told_to_devices(client) == FEDAVG
    assert choose(client, HALF) == 1
    assert goes_by(client) == (HALF, None)
    assert told_to_devices(client) == HALF
    etag = client.get("/models/latest", buffered=True).headers["ETag"]
    assert told_to_devices(client, **{"If-None-Match": etag}) == HALF, "with 304 too"
    heartbeat = device.status().json["tasks"]["digits"]["task"]
    assert (heartbeat["strategy"], heartbeat["strategy_parameters"]) == HALF
    close_round(device, 4.0, 0)
    assert bias(client) == 2.0
    assert rounds(client) == [HALF]
    listed = {row["name"]: row["strategy"] for row in client.get("/tasks").json["tasks"]}
    assert listed == {"digits": "fedavgm", "parcels": "fedavg"}
    assert events(client, "strategy_chosen") == [
        "strategy FedAvgM, server_learning_rate 0.5, momentum 0: from round 1 on"
    ]


def test_an_open_round_without_updates_goes_by_it_at_once(client: FlaskClient) -> None:
    answering = AnsweringDevice(client, "device1")
    client.post("/modeltrain")
    assert rounds(client) == [FEDAVG]
    assert choose(client, HALF) == 1
    assert rounds(client) == [HALF]
    answering.close()


def test_trainings_that_would_be_in_vain_are_a_beginning(client: FlaskClient) -> None:
    """Devices have trained for FedAvg, and have sent nothing yet."""
    answering = AnsweringDevice(client, "device1")
    client.post("/modeltrain")
    # SCAFFOLD cannot combine what they will send: it waits.
    assert choose(client, ("scaffold", {})) == 2
    assert goes_by(client) == (FEDAVG, ("scaffold", {"server_learning_rate": 1.0}))
    assert client.post("/sendmodel").status_code == 200
    assert client.post("/aggregate_models").get_json()["strategy"] == "fedavg"
    assert goes_by(client)[0][0] == "scaffold"
    answering.close()


def test_a_choice_during_a_training_waits_for_what_comes_of_it(client: FlaskClient) -> None:
    """The first training opens its round when it ends: before, there is none."""
    answering = AnsweringDevice(client, "device1")
    answering.held["modeltrain"] = threading.Event()
    training = threading.Thread(target=client.application.test_client().post, args=("/modeltrain",))
    training.start()
    wait_until(lambda: answering.asked, 10)
    try:
        assert choose(client, ("scaffold", {})) == 2
    finally:
        answering.held["modeltrain"].set()
        training.join()
    assert client.post("/sendmodel").status_code == 200
    assert client.post("/aggregate_models").get_json()["strategy"] == "fedavg"
    assert goes_by(client)[0][0] == "scaffold"
    answering.close()


def test_what_waits_for_trainings_that_fail_is_in_use_for_the_next(client: FlaskClient) -> None:
    """Nothing else could end the wait: no round is ever closed."""
    answering = AnsweringDevice(client, "device1")
    choose(client, ("scaffold", {}))
    answering.held["modeltrain"] = threading.Event()
    answering.failing["modeltrain"] = ("training-diverged", "The loss is no number.")
    training = threading.Thread(target=client.application.test_client().post, args=("/modeltrain",))
    training.start()
    wait_until(lambda: answering.asked, 10)
    assert choose(client, FEDAVG) == 2
    answering.held["modeltrain"].set()
    training.join()
    del answering.failing["modeltrain"]
    assert goes_by(client)[0][0] == "scaffold"
    client.post("/modeltrain")
    assert goes_by(client) == (FEDAVG, None)
    assert rounds(client) == [FEDAVG]
    answering.close()


def test_an_update_that_counts_is_acknowledged_whatever_the_strategy_is_by_now(
    device: ThinDevice,
) -> None:
    choose(device.client, ("feddyn", {}))
    body = device.update(filled(3.0), strategy="feddyn")
    first = device.send(body).get_json()
    choose(device.client, ("feddyn", {"alpha": 0.5}))
    device.client.post("/aggregate_models")
    again = device.send(body)
    assert (again.status_code, again.get_json()) == (200, first)


def test_what_was_refused_for_good_is_no_beginning(client: FlaskClient) -> None:
    answering = AnsweringDevice(client, "device1")
    answering.adds = float("nan")
    client.post("/modeltrain")
    assert client.post("/sendmodel").status_code == 502
    assert choose(client, ("scaffold", {})) == 1
    answering.close()


def test_an_open_round_with_updates_ends_as_it_began(device: ThinDevice) -> None:
    client = device.client
    device.send(device.update(filled(4.0)))
    assert choose(client, HALF) == 2
    assert goes_by(client) == (FEDAVG, HALF)
    assert told_to_devices(client) == FEDAVG, "who trains now trains for the round that is open"
    assert client.post("/aggregate_models").json["strategy"] == "fedavg"
    assert bias(client) == 4.0
    assert goes_by(client) == (HALF, None)
    assert told_to_devices(client) == HALF
    close_round(device, 8.0, 1)
    assert bias(client) == 6.0
    assert rounds(client) == [FEDAVG, HALF]


def test_a_choice_for_the_next_round_can_be_taken_back(device: ThinDevice) -> None:
    client = device.client
    device.send()
    assert [choose(client, each) for each in (HALF, PROX, PROX, FEDAVG)] == [2, 2, 2, 1]
    assert goes_by(client) == (FEDAVG, None)
    client.post("/aggregate_models")
    assert goes_by(client) == (FEDAVG, None)
    assert [told.partition(":")[2] for told in events(client, "strategy_chosen")] == [
        " from round 2 on",
        " from round 2 on",
        " from round 1 on",
    ], "the same again is no choice"


def test_it_follows_a_round_that_is_abandoned(device: ThinDevice) -> None:
    client = device.client
    close_round(device, 4.0, 0)
    device.status(tasks={"digits": {"num_samples": 10, "version": 1}})
    device.send(device.update(filled(9.0), base_version=1))
    assert choose(client, HALF) == 3
    assert client.post("/models/0/promote").status_code == 200
    assert goes_by(client) == (HALF, None)
    close_round(device, 4.0, 2)
    assert bias(client) == 2.0
    assert rounds(client) == [FEDAVG, FEDAVG, HALF]


def test_while_a_round_waits_to_be_sent_out_the_next_one_can_be_chosen_for(
    device: ThinDevice,
) -> None:
    close_round(device, 4.0, 0)
    assert choose(device.client, HALF) == 2
    assert goes_by(device.client) == (HALF, None)
    assert rounds(device.client) == [FEDAVG]


def test_what_is_chosen_holds_over_a_restart(
    device: ThinDevice, restart: Callable[..., FlaskClient]
) -> None:
    choose(device.client, HALF)
    assert goes_by(restart()) == (HALF, None)
    device.send()
    choose(device.client, PROX)
    again = restart()
    assert goes_by(again) == (HALF, PROX)
    assert again.post("/aggregate_models").json["strategy"] == "fedavgm"
    assert goes_by(again) == (PROX, None)


def test_tasks_toml_wins_when_it_says_something_else(
    device: ThinDevice, restart: Callable[..., FlaskClient]
) -> None:
    choose(device.client, HALF)
    lines = 'strategy = "fedprox"\nstrategy_parameters = { mu = 0.1 }'
    changed = restart(lines)
    assert goes_by(changed) == (PROX, None)
    assert events(changed, "strategy_chosen")[-1] == (
        "strategy FedProx, mu 0.1: from round 1 on, as tasks.toml says"
    )
    choose(changed, HALF)
    assert goes_by(restart(lines)) == (HALF, None), "it says what it said before"
    assert goes_by(restart(lines.replace("0.1", "0.2")))[0] == ("fedprox", {"mu": 0.2})
    assert goes_by(restart()) == (FEDAVG, None)


def test_tasks_toml_waits_for_the_end_of_a_round_too(
    device: ThinDevice, restart: Callable[..., FlaskClient]
) -> None:
    device.send(device.update(filled(4.0)))
    choose(device.client, PROX)
    changed = restart('strategy = "fedavgm"\nstrategy_parameters = { momentum = 0.5 }')
    assert goes_by(changed)[0] == FEDAVG
    assert goes_by(changed)[1] == ("fedavgm", {"server_learning_rate": 1.0, "momentum": 0.5})
    changed.post("/aggregate_models")
    assert goes_by(changed)[0][0] == "fedavgm"


def test_all_processes_go_by_it_at_once(
    device: ThinDevice, make_app: Callable[..., APIFlask]
) -> None:
    other = make_app().test_client()
    choose(device.client, HALF)
    assert goes_by(other) == (HALF, None)
    device.send(device.update(filled(4.0)))
    assert choose(other, PROX) == 2
    assert goes_by(device.client) == (HALF, PROX)
    assert other.post("/aggregate_models").json["strategy"] == "fedavgm"
    assert bias(device.client) == 2.0
    assert goes_by(device.client) == (PROX, None)


def test_rounds_that_run_one_after_the_other_go_by_it_from_the_next_on(client: FlaskClient) -> None:
    answering = AnsweringDevice(client, "device1")
    answering.adds = 4.0
    answering.held["aggmodel"] = threading.Event()
    job = client.post("/run_rounds", json={"rounds": 2}, headers={"Prefer": "respond-async"})
    wait_until(lambda: "aggmodel" in answering.asked)
    assert choose(client, HALF) == 2
    answering.held["aggmodel"].set()
    address = job.headers["Location"]
    wait_until(lambda: client.get(address).json["status"] == "done")
    assert rounds(client) == [FEDAVG, HALF]
    assert bias(client) == 6.0
    answering.close()


def test_rounds_that_are_aggregated_by_themselves_go_by_it(
    restart: Callable[..., FlaskClient],
) -> None:
    client = restart("auto_aggregate = true")
    device = ThinDevice(client, "device1")
    device.status()
    device.offer()
    assert choose(client, HALF) == 1
    device.send(device.update(filled(4.0)))
    wait_until(lambda: client.get("/models").json["versions"][0]["version"] == 1)
    assert bias(client) == 2.0
    assert rounds(client) == [HALF]


def test_an_asynchronous_task_has_none_to_choose(
    restart: Callable[..., FlaskClient],
) -> None:
    before = restart("")
    choose(before, ("scaffold", {}))  # which is over as soon as the task is asynchronous
    client = restart('mode = "async"\nasynchronous = { rule = "fedbuff" }')
    answer = client.post("/strategy", json={"strategy": "fedprox"})
    assert (answer.status_code, answer.json["type"]) == (409, "urn:fedbell:problem:no-steps")
    assert "by fedbuff; tasks.toml says by which rule (asynchronous.rule)" in answer.json["detail"]
    told = client.get("/strategies").json
    assert (told["mode"], told["in_use"]["title"], told["following"]) == ("async", "FedBuff", None)
    assert told["in_use"]["parameters"]["buffer_size"] == 10
    device = ThinDevice(client, "device1")
    device.status()
    device.offer()
    assert HEADER not in client.get("/models/latest", buffered=True).headers


@pytest.mark.parametrize(
    ("body", "status", "name", "told"),
    [
        ({"strategy": "fedprx"}, 422, "strategy", "no strategy 'fedprx'; near it: fedprox, fedper"),
        ({"strategy": "vote"}, 422, "strategy", "no strategy 'vote'; there are fedavg, fedprox"),
        ({"strategy": "fedprox", "parameters": {"mu": -1}}, 422, "mu", "mu: Input should be"),
        ({"strategy": "fedprox", "parameters": {"mu": "much"}}, 422, "mu", "mu: Input should be"),
        ({"strategy": "fedprox", "parameters": {"nu": 1}}, 422, "nu", "no such parameter; it has"),
        ({"strategy": "fedavg", "parameters": {"mu": 1}}, 422, "mu", "it has: none"),
        ({"strategy": "fedbn", "parameters": {"layers": []}}, 422, "layers", "layers: "),
        ({"strategy": "fedbn", "parameters": {"layers": ["a b"]}}, 422, "layers", "number 1: "),
        ({"strategy": "fedbn", "parameters": {"layers": {}}}, 422, "layers", "layers: "),
        ({}, 400, "strategy", "strategy: Field required"),
        ({"strategy": []}, 400, "strategy", "strategy: "),
        ({"strategy": "fedavg", "parameters": []}, 400, "parameters", "parameters: "),
        ({"strategy": "fedavg", "mu": 1}, 400, "mu", "mu: there is no such name"),
        ({"strategy": "x" * 101}, 400, "strategy", "strategy: "),
    ],
)
def test_what_cannot_be_chosen_is_named_and_changes_nothing(
    device: ThinDevice, state: Path, body: Any, status: int, name: str, told: str
) -> None:
    before = snapshot(state)
    answer = device.client.post("/strategy", json=body)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert told in answer.json["detail"]
    assert list(answer.json["errors"]) == [name]
    assert snapshot(state) == before
    assert goes_by(device.client) == (FEDAVG, None)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_have_to_be_finite(device: ThinDevice, number: str) -> None:
    body = f'{{"strategy": "fedprox", "parameters": {{"mu": {number}}}}}'
    answer = device.client.post("/strategy", data=body, content_type="application/json")
    assert (answer.status_code, [*answer.json["errors"]]) == (422, ["mu"])
    assert goes_by(device.client) == (FEDAVG, None)


def test_what_leaves_nothing_to_combine_is_refused_at_once(
    device: ThinDevice, restart: Callable[..., FlaskClient]
) -> None:
    body = {"strategy": "fedper", "parameters": {"layers": ["head/*"]}}
    answer = device.client.post("/strategy", json=body)
    assert (answer.status_code, answer.json["type"]) == (409, "urn:fedbell:problem:nothing-shared")
    assert "head/bias, head/kernel" in answer.json["detail"]
    assert goes_by(device.client) == (FEDAVG, None)
    with pytest.raises(ConfigurationError, match=r"tasks\.digits: strategy: FedPer would leave"):
        restart('strategy = "fedper"\nstrategy_parameters = { layers = ["head/*"] }')
    assert goes_by(restart()) == (FEDAVG, None)


def test_a_strategy_that_is_gone_gives_way_to_what_tasks_toml_says(
    device: ThinDevice, restart: Callable[..., FlaskClient], state: Path
) -> None:
    choose(device.client, PROX)
    with store_of(state) as connection:
        connection.execute(text("UPDATE task_strategies SET strategy = 'of_later'"))
    client = restart()
    assert goes_by(client) == (FEDAVG, None)
    assert client.get("/rounds").status_code == 200


def test_what_is_too_long_for_a_header_is_told_by_heartbeats(device: ThinDevice) -> None:
    layers = [f"{number}{'ä' * 100}/*" for number in range(10)] + ["*/bias"]
    choose(device.client, ("fedper", {"layers": layers}))
    answer = device.client.get("/models/latest", buffered=True)
    assert HEADER not in answer.headers
    told = device.status().json["tasks"]["digits"]["task"]
    assert told["strategy_parameters"] == {"layers": layers}
    choose(device.client, ("fedper", {"layers": ["ä/*", "*/bias"]}))
    header = device.client.get("/models/latest", buffered=True).headers[HEADER]
    assert header.isascii()
    assert len(header) < MOST_HEADER_CHARACTERS
    assert told_to_devices(device.client) == ("fedper", {"layers": ["ä/*", "*/bias"]})


def test_unknown_task(client: FlaskClient) -> None:
    for answer in (
        client.get("/strategies?task=nothing"),
        client.post("/strategy?task=nothing", json={"strategy": "fedavg"}),
    ):
        assert (answer.status_code, "There are: digits, parcels" in answer.text) == (404, True)


@pytest.mark.one_database
def test_get_tells_the_line_that_is_right(client: FlaskClient) -> None:
    answer = client.get("/strategy?task=digits")
    assert (answer.status_code, answer.allow.as_set()) == (405, {"options", "post"})
    words = shlex.split(answer.json["detail"].partition("Try: ")[2])
    assert words[:4] == ["curl", "-X", "POST", "http://localhost/strategy?task=digits"]
    assert words[4:7] == ["-H", "Content-Type: application/json", "-d"]
    body = json.loads(words[7])
    assert choose(client, (body["strategy"], body["parameters"])) == 1


@pytest.mark.one_database
def test_a_page_of_another_origin_chooses_nothing(client: FlaskClient) -> None:
    answer = client.post(
        "/strategy", data={"strategy": "fedprox"}, headers={"Origin": "http://elsewhere"}
    )
    assert answer.status_code == 403
    assert goes_by(client) == (FEDAVG, None)


def test_versions_say_which_strategy_made_them(client: FlaskClient) -> None:
    answering = AnsweringDevice(client, "device1")
    for chosen in (FEDAVG, PROX, HALF):
        choose(client, chosen)
        client.post("/run_rounds", json={"rounds": 1})
    assert rounds(client) == [FEDAVG, PROX, HALF]
    steps = client.get("/rounds/2").json["steps"]["aggregate_models"][""]
    assert steps["result"]["strategy"] == "fedprox"
    assert bias(client) == 2.5
    answering.close()


@pytest.mark.one_database
def test_the_documentation_tells_what_works(
    make_app: Callable[..., APIFlask], tmp_path: Path
) -> None:
    page = (ROOT / "docs/strategies.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (curl,) = re.findall(r"```sh\n(curl.*?)```", page, re.DOTALL)
    (answer,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "tasks.toml").write_text(lines)
    client = make_app().test_client()
    assert client.get("/strategies").json["in_use"]["parameters"] == {"mu": 0.1}
    words = shlex.split(curl)
    path = words[words.index("POST") + 1].removeprefix("http://localhost:8000")
    body = json.loads(words[words.index("-d") + 1])
    told = client.post(path, json=body)
    assert told.json == json.loads(answer) | {"from_round": 1}


def test_a_round_that_its_strategy_can_never_end_goes_by_another_one_at_once(
    device: ThinDevice,
) -> None:
    client = device.client
    choose(client, ("krum", {"byzantine": 1}))
    assert device.send(device.update(filled(3.0))).status_code == 200
    refused = client.post("/aggregate_models")
    assert (refused.status_code, refused.get_json()["updates"]) == (409, 1)
    assert "needs at least 5 updates" in refused.get_json()["detail"]
    # What wants updates of its own cannot combine those that are here.
    assert choose(client, ("scaffold", {})) == 2
    assert goes_by(client)[0][0] == "krum"
    assert choose(client, ("median", {})) == 1
    assert client.post("/aggregate_models").status_code == 200
    assert rounds(client)[0][0] == "median"


def test_updates_for_another_strategy_than_one_that_keeps_something_are_refused(
    device: ThinDevice,
) -> None:
    choose(device.client, ("feddyn", {}))
    for told in ({}, {"strategy": "fedprox"}, {"strategy": "feddyn-01234567"}):
        answer = device.send(device.update(filled(3.0), **told))
        assert answer.status_code == 409
        assert answer.get_json()["type"] == "urn:fedbell:problem:other-strategy"
    assert device.send(device.update(filled(3.0), strategy="feddyn")).status_code == 200


def test_promoted_is_a_beginning_for_what_devices_keep_too(device: ThinDevice) -> None:
    client = device.client
    choose(client, ("feddyn", {}))
    for number in (1, 2):
        sent = device.update(filled(float(number)), base_version=number - 1, strategy="feddyn")
        assert device.send(sent).status_code == 200
        assert client.post("/aggregate_models").status_code == 200
    assert client.post("/models/1/promote").status_code == 200

    def told(version: int) -> dict[str, str]:
        content = client.get(f"/models/{version}", buffered=True).data
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return dict(header["__metadata__"])

    assert told(1)["began"] == told(2)["began"] == "0"
    assert told(3)["began"] == "3"
    sent = device.update(filled(1.0), base_version=3, strategy="feddyn")
    assert device.send(sent).status_code == 200
    assert client.post("/aggregate_models").status_code == 200
    assert told(4)["began"] == "3"
    # Version 3 is version 1 again, 1 + (1 - 0) = 2. h begins with 0: 1 + (1 - 2) = 0; with the h of
    # version 1 it would be 1.
    assert bias(client) == pytest.approx(0, abs=1e-6)
