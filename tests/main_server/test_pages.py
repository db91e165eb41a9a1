"""The control page, as it is rendered: its stepper, its cards, its parts, what is hostile in it."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient

from shared.web.jobs import JobControl

from .answering_device import AnsweringDevice
from .conftest import ThinDevice
from .page import Element, Page, look

STEPS = ("modeltrain", "sendmodel", "aggregate_models", "send_model_clients")
PARTS = {"glance", "round", "run", "devices", "history", "curves", "task", "log"}


@pytest.fixture
def devices(client: FlaskClient) -> Iterator[list[AnsweringDevice]]:
    made = [AnsweringDevice(client, name) for name in ("device1", "device2")]
    yield made
    for each in made:
        each.close()


def button(page: Page, step: str) -> Element:
    return page.one("form", action=f"/{step}?task=digits").one("button")


def reason(page: Page, step: str) -> str:
    """What the button's description says."""
    return page.one(id=button(page, step).attributes["aria-describedby"]).text


def rows(page: Page, step: str) -> dict[str, str]:
    """By device, what its row in a step says."""
    told = page.one(id=f"step-{step}").all("li", class_="device-row")
    return {row.one(class_="device-name").text: row.text for row in told}


def primary(page: Page) -> list[str]:
    return [step for step in STEPS if "btn-primary" in button(page, step).attributes["class"]]


def test_before_anything_is_there(client: FlaskClient) -> None:
    page = look(client)
    assert primary(page) == []
    for step in STEPS:
        assert "disabled" in button(page, step).attributes
        assert reason(page, step) == "First a device has to join: see Devices."
    assert "dataset/<device>/digits" in page.one(id="devices").text
    assert page.one("noscript").one("meta").attributes["content"] == "2"
    assert "No round yet" in page.one(id="history").text


def test_a_round_step_by_step(client: FlaskClient, devices: list[AnsweringDevice]) -> None:
    devices[1].failing["modeltrain"] = ("broken", "The lens is broken. Clean it.")
    assert primary(look(client)) == ["modeltrain"]

    client.post("/modeltrain")
    page = look(client)
    assert primary(page) == ["sendmodel"]
    assert "not on every device" in page.one(id="step-modeltrain").text
    told = rows(page, "modeltrain")
    assert "done" in told["device1"]
    assert "10 pictures, 2 epochs, loss 0.500" in told["device1"]
    assert "1 picture could not be read" in told["device1"]
    assert "failed The lens is broken. Clean it. Retry on device2 alone" in told["device2"]
    (retry,) = page.all("form", action="/modeltrain?task=digits&device=device2")
    assert "data-live-form" in retry.attributes
    assert reason(page, "aggregate_models").startswith("There is no update of this round yet")
    assert "Finish this round" in page.one(id="run").text

    del devices[1].failing["modeltrain"]
    client.post("/modeltrain?device=device2")
    page = look(client)
    assert "(attempt 2)" in rows(page, "modeltrain")["device2"]
    assert devices[0].asked == ["modeltrain"]

    client.post("/sendmodel")
    page = look(client)
    assert primary(page) == ["aggregate_models"]
    assert "kB of weights, 10 samples" in rows(page, "sendmodel")["device1"]

    client.post("/aggregate_models")
    page = look(client)
    assert primary(page) == ["send_model_clients"]
    assert (
        "version 1 of 2 updates, 20 samples, by FedAvg"
        in (rows(page, "aggregate_models")["Main server"])
    )
    assert "not sent out yet" in page.one(id="round").text

    client.post("/send_model_clients")
    page = look(client)
    assert primary(page) == ["modeltrain"]
    assert reason(page, "modeltrain") == "Run next step: it begins round 2, from version 1"
    assert reason(page, "sendmodel") == "Round 2 begins with a training."
    assert "version 1: 75.0 % of its 4 test pictures" in rows(page, "send_model_clients")["device2"]
    assert "Round 1 made version 1 of 2 updates: federated accuracy 75.0 %" in (
        page.one(id="round").text
    )
    assert page.one("h1").text == "digits version 1, federated accuracy 75.0 %"


def test_the_next_round_is_shown_as_soon_as_it_trains(
    client: FlaskClient, devices: list[AnsweringDevice]
) -> None:
    client.post("/run_rounds", json={"rounds": 1})
    devices[0].held["modeltrain"] = threading.Event()
    try:
        client.post("/modeltrain", headers={"Prefer": "respond-async"})
        page = wait_for(
            client, lambda page: "running" in rows(page, "modeltrain").get("device1", "")
        )
        assert page.one(id="round-heading").text == "Round 2"
        assert primary(page) == []
        for step in STEPS:
            assert "disabled" in button(page, step).attributes
            assert reason(page, step) == "The buttons wait until Model Training (Locally) is done."
        assert page.one("noscript").one("meta").attributes["content"] == "2"

        activity = {"step": "modeltrain", "phase": "training", "done": 2, "total": 3}
        activity |= {"loss": 0.41234, "accuracy": 0.872, "elapsed_seconds": 3, "eta_seconds": 12.3}
        devices[0].beat(activity=activity)
        page = look(client)
        told = "epoch 2 of 3, loss 0.412, accuracy 87.2 %, 12 s left"
        assert told in rows(page, "modeltrain")["device1"]
        bar = page.one(id="round").one("progress")
        assert (bar.attributes["value"], bar.attributes["max"]) == ("2", "3")
        said = page.one(id="round").attributes["data-announce"]
        assert said == "Round 2, Model Training (Locally): device1: epoch 2 of 3."

        job = client.get("/jobs").json["jobs"][0]["id"]
        assert page.one("form", action=f"/jobs/{job}/cancel").text == "Stop the training"
        client.post(f"/jobs/{job}/cancel")
        assert "The devices are told to stop." in look(client).one(id="run").text
    finally:
        devices[0].held["modeltrain"].set()
    page = wait_for(client, lambda page: primary(page) == ["sendmodel"])
    said = page.one(id="round").attributes["data-announce"]
    assert said.endswith("Next: Send Model to Federated Server.")


def wait_for(client: FlaskClient, is_so: Callable[[Page], bool]) -> Page:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if is_so(page := look(client)):
            return page
        time.sleep(0.02)
    raise AssertionError("the page never said so")


def test_a_training_on_its_own_is_shown(
    client: FlaskClient, devices: list[AnsweringDevice]
) -> None:
    devices[1].beat(
        activity={
            "step": "modeltrain",
            "phase": "features",
            "done": 5,
            "total": 10,
            "elapsed_seconds": 1,
        }
    )
    page = look(client)
    told = rows(page, "modeltrain")
    assert "by itself: 5 of 10 pictures read" in told["device2"]
    assert "trains, 5 of 10 pictures" in page.one(id="device-device2").text


def test_who_trains_by_itself_does_not_open_the_finished_round(
    client: FlaskClient, devices: list[AnsweringDevice]
) -> None:
    client.post("/run_rounds", json={"rounds": 1})
    activity = {"step": "modeltrain", "phase": "training", "done": 2, "total": 3}
    devices[1].beat(activity=activity | {"elapsed_seconds": 0})
    page = look(client)
    told = page.one(id="round")
    assert "Round 1 finished" in told.text
    assert "device2 trains by itself, for round 2: epoch 2 of 3." in told.text
    assert "by itself" not in rows(page, "modeltrain")["device2"]
    assert "device2 trains by itself" in told.attributes["data-announce"]
    assert primary(page) == ["modeltrain"]


@pytest.mark.usefixtures("devices")
def test_after_a_promotion_the_next_round_begins_from_it(client: FlaskClient) -> None:
    client.post("/run_rounds", json={"rounds": 2})
    client.post("/models/1/promote?task=digits")
    page = look(client)
    assert "Round 2 made version 2" in page.one(id="round").text
    assert reason(page, "modeltrain") == (
        "Run next step: it begins round 3, from version 3 (version 1 promoted)"
    )


def test_a_lost_device_can_be_forgotten(make_app: Callable[..., APIFlask]) -> None:
    client = make_app(heartbeat_seconds=0.05).test_client()
    thin = ThinDevice(client, "device1")
    thin.status()
    assert "online" in look(client).one(id="device-device1").text
    time.sleep(0.2)
    page = look(client)
    card = page.one(id="device-device1")
    assert "lost" in card.text
    assert "0 of 1 online" in page.one(id="glance").text
    form = card.one("form")
    assert form.attributes["data-confirm"].startswith("Forget device1?")
    answer = client.post(form.attributes["action"])
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?task=digits")
    assert look(client).all(id="device-device1") == []


def test_a_disk_without_room_for_two_uploads_is_low(make_app: Callable[..., APIFlask]) -> None:
    low = look(make_app(most_upload_bytes=2**60).test_client()).one(id="glance")
    assert "GB, low" in low.text
    assert low.one(role="alert").text.startswith("The disk of the main server is nearly full.")
    plenty = look(make_app(most_upload_bytes=1).test_client()).one(id="glance")
    assert "low" not in plenty.text


def test_who_takes_no_part_and_why(client: FlaskClient, device: ThinDevice) -> None:
    device.status(
        tasks={
            "digits": {"num_samples": 10},
            "parcels": {"num_samples": 0, "problem": "Upload some pictures."},
        }
    )
    page = look(client, "?task=parcels")
    begin = page.one(id="why-all")
    assert begin.text.startswith("No device has pictures of parcels yet. To begin, upload some")
    assert begin.one("a").attributes["href"] == "http://127.0.0.1:9/?task=parcels"
    short = "o pictures yet: upload some on its page"
    for part in (page.one(id="left-out"), page.one(id="device-device1")):
        assert short in part.text
        assert "http://127.0.0.1:9/?task=parcels" in [a.attributes["href"] for a in part.all("a")]
    assert "Upload some pictures." not in page.one(id="round").text
    assert "Upload some pictures." in page.one("details", id="left-out-device1").text
    told = page.one("section", aria_labelledby="task-heading")
    assert "2: parcel, none" in told.text
    assert "of at least 2 updates" in told.text
    tasks = page.one("nav", aria_label="Tasks").all("a")
    assert {each.text for each in tasks} == {"digits", "parcels"}


def test_what_went_wrong_last_stays_until_something_else_went_well(
    client: FlaskClient, devices: list[AnsweringDevice]
) -> None:
    client.post("/aggregate_models")
    for _ in range(2):
        told = look(client).one(id="run").one(role="alert").text
        assert told.startswith("Aggregate Local Models: Too few updates")
        assert "Run modeltrain and sendmodel first" in told
    for device in devices:
        device.failing["modeltrain"] = ("broken", "The lens is broken.")
    client.post("/modeltrain")
    assert "Each device's row in the round says why" in look(client).one(id="run").text
    for device in devices:
        device.failing.clear()
    client.post("/modeltrain")
    assert look(client).one(id="run").all(role="alert") == []


def test_whole_rounds_tell_how_far_they_are(app: APIFlask, client: FlaskClient) -> None:
    jobs = app.extensions["fedbell"].jobs
    goes_on = threading.Event()

    def work(control: JobControl) -> dict[str, Any]:
        done: list[dict[str, Any]] = [
            {"round": 1, "version": 1, "updates": 2, "evaluation": None, "errors": {}}
        ]
        control.report({"round": 2, "of": 10, "step": "modeltrain", "done": done})
        assert goes_on.wait(30)
        return {"rounds": done}

    job = jobs.start("run_rounds", "digits", work)
    try:
        page = wait_for(client, lambda page: "round 2 of 10" in page.one(id="run").text)
        stop = page.one("form", action=f"/jobs/{job}/cancel")
        assert stop.text == "Stop after this step"
        client.post(f"/jobs/{job}/cancel")
        assert "It stops after this step." in look(client).one(id="run").text
    finally:
        goes_on.set()
    page = wait_for(client, lambda page: "Whole rounds: done" in page.one(id="run").text)
    assert "Round 1: version 1 of 2 updates" in page.one(id="run").text


@pytest.mark.usefixtures("devices")
@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_refresh_renders_only_what_it_wants(client: FlaskClient, part: str) -> None:
    client.post("/run_rounds", json={"rounds": 1})
    page = look(client, Fedbell_Parts=part)
    for other in PARTS - {part, "log"}:
        assert page.one(id=other).text == ""
    if part == "log":
        assert "round 1: version 1" in page.one(id="log").text
    else:
        assert page.one(id=part).text != ""
        assert page.all(id="log") == []
    live = {each.attributes["id"] for each in look(client).all() if "data-live" in each.attributes}
    assert live == PARTS


@pytest.mark.usefixtures("devices")
def test_the_log_of_one_device(client: FlaskClient) -> None:
    client.post("/modeltrain")

    def lines(query: str) -> list[str]:
        told = look(client, query).one(id="log").all()
        return [each.text for each in told if each.attributes.get("id", "").startswith("event-")]

    of_device = lines("?task=digits&device=device2")
    assert of_device
    assert all("device2" in line for line in of_device)
    assert len(of_device) < len(lines("?task=digits&device="))


HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(2)>" onmouseover="alert(3)\' {{ 7*7 }}'


def test_what_devices_say_stays_text(client: FlaskClient, devices: list[AnsweringDevice]) -> None:
    devices[0].failing["modeltrain"] = ("<b>", HOSTILE)
    client.post("/modeltrain")
    told = {"num_samples": 10, "problem": HOSTILE}
    devices[1].status(tasks={"digits": told}, page_url='http://x/"onclick="alert(4)')
    text = client.get("/?task=digits").text
    page = Page(text)
    assert HOSTILE in rows(page, "modeltrain")["device1"]
    assert HOSTILE in page.one(id="device-device2").text
    assert HOSTILE in page.one(id="log").text
    for element in page.all():
        assert not [name for name in element.attributes if name.startswith("on")]
        assert "style" not in element.attributes
        assert element.name != "script" or element.attributes["src"].startswith("/")
    assert "49" not in page.one(id="round").text


def test_what_the_address_says_wrongly_is_refused(client: FlaskClient) -> None:
    for query in ("?task=none", "?before=x", "?curves=-1", "?device=../x", "?of=A", "?nonsense=1"):
        assert client.get(f"/{query}").status_code in {400, 404}
