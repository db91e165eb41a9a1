"""The device's page as the server renders it, of a device whose trainer and heartbeat rest."""

import io
import re
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shared.device import app as device_app
from shared.device.device import Device
from shared.device.settings import DeviceSettings
from shared.federated.task import Task
from shared.web.live import PARTS
from tests.main_server.page import Page

FEW = Task(name="pets", classes=("cat", "dog"), architecture="catdog_cnn")
MANY = Task(name="letters", classes=tuple(f"letter {number}" for number in range(200)))


@pytest.fixture
def client(
    make_settings: Callable[..., DeviceSettings], monkeypatch: pytest.MonkeyPatch
) -> FlaskClient:
    """Of a device that has met no main server."""
    settings = make_settings(most_picture_bytes=3 * 2**20)
    monkeypatch.setattr(Device, "start", lambda _device: None)
    monkeypatch.setattr(DeviceSettings, "load", lambda *_files, **_values: settings)
    return device_app.build(settings.state_directory / "device.toml").test_client()


@pytest.fixture
def device(client: FlaskClient) -> Device:
    """The same, which has been told of its tasks."""
    found: Device = client.application.extensions["fedbell"]
    found.store.adopt("federation", [(FEW, 1, 1), (MANY, 0, 0)])
    return found


def upload(client: FlaskClient, *names: str, task: str = "pets") -> list[str]:
    """Pictures of those names; their ids."""
    files = []
    for name in names:
        pixels = np.random.default_rng(zlib.crc32(name.encode())).integers(
            0, 255, (9, 9, 3), np.uint8
        )
        files.append((io.BytesIO(cv2.imencode(".png", pixels)[1].tobytes()), name))
    answer = client.post(f"/pictures?task={task}", data={"pictures": files})
    assert answer.status_code == 201, answer.text
    return [each["id"] for each in answer.json["pictures"]]


def ids(answer: TestResponse, prefix: str) -> list[str]:
    return re.findall(f'id="{prefix}-([0-9a-f]{{64}})"', answer.text)


@pytest.fixture
def guarded(
    make_settings: Callable[..., DeviceSettings], monkeypatch: pytest.MonkeyPatch
) -> FlaskClient:
    """Of a device where people have to log in."""
    settings = make_settings(admin_token="a" * 24, viewer_token="v" * 24)
    monkeypatch.setattr(Device, "start", lambda _device: None)
    monkeypatch.setattr(DeviceSettings, "load", lambda *_files, **_values: settings)
    return device_app.build(settings.state_directory / "device.toml").test_client()


@pytest.mark.parametrize("task", [FEW, MANY])
def test_a_viewer_is_offered_nothing_that_is_refused(guarded: FlaskClient, task: Task) -> None:
    """With pictures that have a class, that have none, and that are of a task that is gone."""

    def told(token: str) -> tuple[Page, list[str]]:
        guarded.post("/login", data={"token": token * 24})
        page = Page.of(guarded.get(f"/?task={task.name}"))
        changing = [
            each
            for each in page.all("form", method="post")
            if each.attributes["action"] not in ("/logout", "/theme")
        ]
        buttons = [button for form in changing for button in form.all("button")]
        return page, [each.text for each in buttons if "disabled" not in each.attributes]

    device: Device = guarded.application.extensions["fedbell"]
    gone = Task(name="gone", classes=("cat", "dog"), architecture="catdog_cnn")
    device.store.adopt("federation", [(task, 1, 1), (gone, 0, 0)])
    guarded.post("/login", data={"token": "a" * 24})
    upload(guarded, "cat.1.png", "unknown.png", task="gone")
    upload(guarded, f"{task.classes[0]}.1.png", "unknown.png", task=task.name)
    device.store.adopt("federation", [(task, 1, 1)])
    _, offered = told("a")
    assert {"Save", "Delete", "Delete them", "Upload", "Try it", "Train on upload"} <= {*offered}
    page, offered = told("v")
    assert offered == []
    assert "You are logged in as a viewer" in page.one(id="viewer").text
    for name in ("upload.js", "try.js"):
        assert not [each for each in page.all("script") if name in each.attributes["src"]]


def test_before_any_task_is_known(client: FlaskClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert "No task is known yet" in answer.text
    assert "not tried yet" in answer.text
    assert 'http-equiv="refresh" content="5"' in answer.text
    assert client.get("/?task=pets").status_code == 503


def test_the_first_task_or_the_one_that_is_named(client: FlaskClient, device: Device) -> None:
    assert device.store.tasks()
    assert '<h2 class="h3 text-break" id="task-heading" tabindex="-1">pets</h2>' in (
        client.get("/").text
    )
    assert ">letters</h2>" in client.get("/?task=letters").text
    missing = client.get("/?task=cars", headers={"Accept": "text/html"})
    assert missing.status_code == 404
    assert "There is no task cars" in missing.text
    for query in ("before=nan", "before=soon", "task=../../etc"):
        assert client.get(f"/?{query}").status_code == 400


def test_the_limits_are_shown(client: FlaskClient, device: Device) -> None:
    text = " ".join(client.get("/").text.split())
    assert device.settings.most_picture_bytes == 3 * 2**20
    assert "each up to 3 MiB and 50 million pixels" in text
    assert "up to 1,000 pictures and 512 MiB; all together up to 5 GiB" in text
    assert 'data-most-bytes="3145728" data-most-pixels="50000000"' in text
    assert "0.0 MiB of that taken" in text
    device.store.adopt("federation", [(FEW, 1, 1)])
    upload(client, *(f"cat.{number}.png" for number in range(300)))
    taken = client.get("/status").json["tasks"]["pets"]["uploads"]["bytes"]
    assert taken > 2**16
    assert taken == sum(row["bytes"] for row in client.get("/pictures?limit=500").json["pictures"])
    assert f"{taken / 2**20:.1f} MiB of that taken" in client.get("/").text


def test_pictures_of_a_task_that_is_gone_are_told_of_and_deleted(
    client: FlaskClient, device: Device
) -> None:
    first, second, third = upload(client, "cat.1.png", "dog.2.png", "cat.3.png")
    assert client.get("/status").json["gone_pictures"] == {}
    assert "tasks that are gone" not in client.get("/").text
    refused = client.post("/pictures/pets/delete_all")
    assert (refused.status_code, "one by one" in refused.json["detail"]) == (409, True)

    device.store.adopt("federation", [(MANY, 0, 0)])
    assert client.get("/status").json["gone_pictures"] == {"pets": 3}
    assert client.get(f"/pictures/pets/{first}/thumbnail").status_code == 200
    assert client.delete(f"/pictures/pets/{first}").json["deleted"] is True
    assert client.delete(f"/pictures/pets/{first}").status_code == 404
    text = client.get("/").text
    assert "2 pictures in task <strong>pets</strong>" in text
    assert 'action="/pictures/pets/delete_all"' in text
    form = {"Accept": "text/html", "Referer": "http://localhost/"}
    assert client.post(f"/pictures/pets/{second}/delete", headers=form).status_code == 303
    assert "1 picture in task <strong>pets</strong>" in client.get("/").text
    answer = client.post("/pictures/pets/delete_all", headers=form)
    assert (answer.status_code, answer.location) == (303, "/")
    assert client.get(f"/pictures/pets/{third}").status_code == 404
    assert client.get("/status").json["gone_pictures"] == {}
    assert client.post("/pictures/pets/delete_all").status_code == 404
    assert "1 picture of a task that is gone deleted" in client.get("/events.txt?task=pets").text


@pytest.mark.usefixtures("device")
def test_doubtful_ones_are_asked_first_and_all_are_paged(client: FlaskClient) -> None:
    named = upload(client, *(f"cat.{number}.png" for number in range(50)))
    asked = upload(client, *(f"IMG_{number}.png" for number in range(14)))
    page = client.get("/?task=pets")
    assert "Which class? 14 pictures without one" in page.text
    assert ids(page, "asked") == list(reversed(asked))[:12]
    assert "data-all" not in page.text
    assert (
        page.text.index("asked-list")
        < page.text.index('id="upload"')
        < page.text.index("pictures-list")
    )
    assert page.text.count(f'action="/pictures/pets/{asked[-1]}/label"') == 2

    shown = ids(page, "picture")
    assert len(shown) == 48
    older = re.search(r'href="(/\?[^"]*before=[^"]*)"', page.text)
    assert older is not None
    rest = client.get(older[1].replace("&amp;", "&").partition("#")[0])
    assert shown + ids(rest, "picture") == list(reversed(named + asked))
    assert "Newest</a>" in rest.text
    assert ids(client.get("/?label=dog"), "picture") == []
    assert set(ids(client.get("/?label=cat"), "picture")) <= set(named)


@pytest.mark.usefixtures("device")
def test_names_are_text_and_nothing_else(client: FlaskClient) -> None:
    upload(client, "'><script>alert(1)<!--.png", "\u202egnp.tac")
    text = client.get("/").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert re.search(r'<bdi class="name"[^>]*>[^<]*gnp\.tac</bdi>', text)


@pytest.mark.usefixtures("device")
def test_classes_too_many_for_a_list_are_typed(client: FlaskClient) -> None:
    upload(client, "what.png", task="letters")
    text = client.get("/?task=letters").text
    assert text.count('list="classes"') == 4  # of an upload, asked, filtered, corrected
    assert text.count('<option value="letter 7">') == 1
    assert len(text) < 200_000


@pytest.mark.usefixtures("device")
def test_only_the_parts_that_are_wanted(client: FlaskClient) -> None:
    upload(client, "IMG.png")
    text = client.get("/", headers={PARTS: "training"}).text
    assert 'id="training"' in text
    assert "asked-list" not in text
    assert "pictures-list" not in text


def test_what_was_trained_and_measured(client: FlaskClient, device: Device) -> None:
    file = device.store.new_file("models", "pets")
    file.write_bytes(b"weights")
    device.store.install("pets", 1, file, "etag", "federation")
    confusion = [[0, 0, 3], [0, 1, 1], [1, 1, 2]]
    evaluation = {"accuracy": 5 / 6, "loss": 0.4, "num_samples": 6, "confusion": confusion}
    measured: dict[str, Any] = {"evaluation": evaluation, "problem": None, "skipped": []}
    device.store.evaluated("pets", 1, measured)
    text = client.get("/").text
    assert "<strong>83.3\N{NO-BREAK SPACE}%</strong> of 6 own test pictures right" in text
    assert "cat taken for dog (1 time)" in text
    assert 'class="number shade-4 right">3</td>' in text
    assert "75.0\N{NO-BREAK SPACE}%" in text


def test_a_version_that_was_not_measured_is_a_reservation_and_no_problem(
    client: FlaskClient, device: Device
) -> None:
    upload(client, "cat.1.png")
    file = device.store.new_file("models", "pets")
    file.write_bytes(b"weights")
    device.store.install("pets", 1, file, "", "federation")
    told = "There is no test picture. " * 200
    device.store.evaluated("pets", 1, {"evaluation": None, "problem": told, "skipped": []})
    pets = device.overview.heartbeat()["tasks"]["pets"]
    assert (pets["problem"], pets["reservation"]) == (None, told[:2000])
    letters = device.overview.heartbeat()["tasks"]["letters"]
    assert "no picture to train on" in letters["problem"]
    assert letters["reservation"] is None


def test_the_switch_and_how_the_main_server_is(client: FlaskClient, device: Device) -> None:
    assert 'aria-pressed="false" aria-describedby="auto-train-told"' in client.get("/").text
    form = {"Accept": "text/html"}
    answer = client.post("/auto_train?task=pets", data={"on": "1"}, headers=form)
    assert (answer.status_code, answer.location) == (303, "/?task=pets")
    assert 'aria-pressed="true" aria-describedby="auto-train-told"' in client.get("/").text
    upload(client, "cat.1.png")
    assert "1 new picture waits for the next training" in client.get("/").text

    device.overview.refusal = "Its join token is wrong. Set JOIN_TOKEN."
    text = client.get("/").text
    assert "Cut off from the main server." in text
    assert "Set JOIN_TOKEN." in text


def test_a_prediction_that_is_not_sure(client: FlaskClient, device: Device) -> None:
    def rendered(probability: float) -> str:
        answer: dict[str, Any] = {
            "task": "pets",
            "version": 3,
            "classes": [{"name": "cat", "probability": probability}],
            "seconds": {"decode": 0.002, "model": 0.03, "total": 1.2},
            "picture": "0" * 64,
        }
        with client.application.test_request_context("/predict"):
            template = client.application.jinja_env.get_template("predicted.html")
            context: dict[str, Any] = {"device_name": "door", "main_server_page": ""}
            client.application.update_template_context(context)
            return template.render(**context, task=device.store.task("pets"), answer=answer)

    assert "not sure" in rendered(0.49)
    sure = rendered(0.51)
    assert "not sure" not in sure
    assert "says version 3, in 1.2 s: 2 ms to decode the picture, 30 ms in the model" in sure
    assert f'action="/pictures/pets/{"0" * 64}/label"' in sure


@pytest.mark.usefixtures("device")
def test_a_page_of_many_pictures_is_small(client: FlaskClient) -> None:
    upload(client, *(f"cat.{number}.png" for number in range(300)))
    answer = client.get("/", headers={"Accept-Encoding": "gzip"})
    assert len(answer.data) < 30_000
