"""Pictures uploaded to a real device. The tests of this module follow one another."""

import re
from collections import Counter
from typing import Any

import pytest

from tests.datasets import pictures
from tests.device.processes import SEND, TRAIN, Connection, wait_for_version
from tests.server import Server, wait_until

CALL = "/pictures?task=shades"


def picture(seed: int, suffix: str = ".jpg") -> bytes:
    """A file that no other seed gives."""
    return pictures.encoded(pictures.noise(48, 32, seed), suffix)


def send(device: Server, files: list[tuple[str, bytes]], call: str = CALL, **more: Any) -> Any:
    """Upload files; the answer."""
    form = [("pictures", (name, content)) for name, content in files]
    return device.http.post(call, files=form, **more)


def listed(device: Server, more: str = "") -> dict[str, Any]:
    """What GET /pictures answers."""
    found: dict[str, Any] = device.get(CALL + more)
    return found


@pytest.fixture(scope="module", autouse=True)
def _knows_its_tasks(device: Server) -> None:
    wait_for_version(device, 0)


def test_the_name_tells_the_class_or_the_choice_does_or_nobody(device: Server) -> None:
    files = [
        ("dark.1.jpg", picture(1)),
        ("my-LIGHT.png", picture(2, ".png")),
        ("x.jpg", picture(3)),
    ]
    answer = send(device, files, CALL + "&label=dark")
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["task"], told["kept"]) == ("shades", 3)
    names = ("name", "status", "label", "label_from", "split", "detail")
    assert [tuple(each[name] for name in names) for each in told["pictures"]] == [
        ("dark.1.jpg", "kept", "dark", "name", "train", None),
        ("my-LIGHT.png", "kept", "light", "name", "train", None),
        ("x.jpg", "kept", "dark", "choice", "train", None),
    ]
    (doubtful,) = send(device, [("dark and light.jpg", picture(4))]).json()["pictures"]
    assert (doubtful["status"], doubtful["label"], doubtful["split"]) == ("kept", None, None)
    assert "choose one" in doubtful["detail"]
    status = device.task("shades")
    kept = sum(row["bytes"] for row in listed(device)["pictures"])
    assert status["uploads"] == {"total": 4, "unlabelled": 1, "untrained": 3, "bytes": kept}
    assert status["num_samples"] == {"train": 23, "valid": 8, "test": 12}


def test_the_log_says_how_many_came_and_no_name(device: Server) -> None:
    came: Counter[str] = Counter()

    def look() -> bool:
        log = device.http.get("/events.txt").text
        assert "my-LIGHT" not in log
        came.clear()
        for line in re.findall(r"pictures? uploaded: (.*)", log):
            for each in line.split(", "):
                number, _, label = each.partition(" ")
                came[label] += int(number)
        return came.total() == 4

    wait_until(look)  # pictures that come close after one another are one line
    assert came == {"dark": 2, "light": 1, "without a class": 1}


def test_the_same_picture_again_is_known(device: Server) -> None:
    again = send(device, [("light.jpg", picture(1))])
    assert again.status_code == 201
    (told,) = again.json()["pictures"]
    assert (told["status"], told["label"], told["detail"]) == (
        "known",
        "dark",
        "It was here already.",
    )
    assert listed(device)["total"] == 4


def test_they_are_listed_page_by_page_newest_first(device: Server) -> None:
    whole = listed(device)
    assert [each["name"] for each in whole["pictures"]] == [
        "dark and light.jpg",
        "x.jpg",
        "my-LIGHT.png",
        "dark.1.jpg",
    ]
    assert (whole["total"], whole["unlabelled"], whole["untrained"]) == (4, 1, 3)
    assert whole["next"] is None
    assert whole["limits"] == device.status()["limits"]
    assert whole["limits"]["most_picture_bytes"] == 20 * 2**20
    newest = whole["pictures"][0]
    assert (newest["format"], newest["width"], newest["height"]) == ("jpeg", 48, 32)
    first = listed(device, "&limit=3")
    rest = listed(device, f"&limit=3&before={first['next']}")
    assert first["pictures"] + rest["pictures"] == whole["pictures"]
    assert rest["next"] is None
    assert [each["name"] for each in listed(device, "&unlabelled=1")["pictures"]] == [
        "dark and light.jpg"
    ]
    assert len(listed(device, "&label=dark")["pictures"]) == 2
    assert device.http.get(CALL + "&limit=0").status_code == 400


def test_a_picture_and_its_thumbnail(device: Server) -> None:
    row = listed(device, "&label=light")["pictures"][0]
    address = f"/pictures/shades/{row['id']}"
    whole, small = device.http.get(address), device.http.get(f"{address}/thumbnail")
    assert whole.content == picture(2, ".png")
    for answer, kind, name in ((whole, "png", "png"), (small, "jpeg", "jpg")):
        assert answer.headers["Content-Type"] == f"image/{kind}"
        assert answer.headers["Content-Disposition"] == f"inline; filename={row['id'][:12]}.{name}"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert small.content.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    "picture_id", ["0" * 64, "0" * 63, "A" * 64, "..%2f..%2fdevice.db", "%2e%2e", "x" * 3000]
)
def test_nothing_else_is_read(device: Server, picture_id: str) -> None:
    for task in ("shades", "..", "nonsense", "%2e%2e%2f%2e%2e"):
        for rest in ("", "/thumbnail"):
            answer = device.http.get(f"/pictures/{task}/{picture_id}{rest}")
            assert answer.status_code == 404, answer.text


def test_labels_and_splits_are_corrected(device: Server) -> None:
    (doubtful,) = listed(device, "&unlabelled=1")["pictures"]
    address = f"/pictures/shades/{doubtful['id']}"
    assert device.http.patch(address, json={"split": "test"}).status_code == 422
    changed = device.http.patch(address, json={"label": "light"}).json()
    assert (changed["label"], changed["split"], changed["label_from"]) == (
        "light",
        "train",
        "choice",
    )
    changed = device.http.patch(address, json={"label": "dark", "split": "test"}).json()
    assert (changed["label"], changed["split"]) == ("dark", "test")
    assert device.task("shades")["num_samples"] == {"train": 23, "valid": 8, "test": 13}
    assert device.task("shades")["classes"]["dark"] == {"train": 12, "valid": 4, "test": 7}
    for body, told in (
        ({"label": "purple"}, "Its classes are: dark, light, unseen"),
        ({"split": "holdout"}, "split"),
        ({"colour": "dark"}, "colour"),
        ({}, "Nothing is to be changed"),
    ):
        refused = device.http.patch(address, json=body)
        assert refused.status_code in {400, 422}
        assert told in refused.json()["detail"]


def test_forms_of_a_page(device: Server) -> None:
    row = listed(device)["pictures"][0]
    address = f"/pictures/shades/{row['id']}"
    page = {"Accept": "text/html", "Referer": f"{device.url}/pictures-of?task=shades&label=dark"}
    answer = device.http.post(
        f"{address}/label", data={"label": "light", "split": ""}, headers=page
    )
    assert (answer.status_code, answer.headers["Location"]) == (
        303,
        "/pictures-of?task=shades&label=dark",
    )
    assert listed(device, "&label=light")["pictures"][0]["id"] == row["id"]
    elsewhere = {"Referer": "http://elsewhere.example/x"}
    answer = device.http.post(f"{address}/label", data={"split": "train"}, headers=elsewhere)
    assert answer.headers["Location"] == "/?task=shades"
    slashes = {"Referer": f"{device.url}//elsewhere.example"}
    answer = device.http.post(f"{address}/delete", headers=slashes)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/elsewhere.example")
    assert listed(device)["total"] == 3
    assert device.http.post(f"{address}/delete").status_code == 404


def test_a_page_that_uploads_gets_a_page(device: Server) -> None:
    form: list[tuple[str, Any]] = [
        ("task", (None, "shades")),
        ("label", (None, "dark")),
        ("pictures", ("one <b>.jpg", picture(5))),
        ("pictures", ("two.gif", b"GIF89a")),
        ("pictures", ("", b"")),  # a field nobody filled in
    ]
    page = {"Accept": "text/html"}
    answer = device.http.post("/pictures", files=form, headers=page)
    assert answer.status_code == 201
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "one &lt;b&gt;.jpg" in answer.text
    assert "This is a GIF" in answer.text
    assert listed(device)["pictures"][0]["label"] == "dark"
    none = device.http.post("/pictures?task=shades", files=[form[3]], headers=page)
    assert none.status_code == 422
    assert "This is a GIF" in none.text


def test_they_are_trained_on_and_measured_with_those_of_the_folder(device: Server) -> None:
    untrained = listed(device)["untrained"]
    assert untrained == 4
    test = listed(device)["pictures"][0]["id"]
    device.http.patch(f"/pictures/shades/{test}", json={"split": "test"})
    trained = device.do(TRAIN)
    assert trained["num_samples"] == 20 + 3
    assert trained["evaluation"]["num_samples"] == 13
    rows = listed(device)
    assert rows["untrained"] == 0
    assert all(row["trained"] for row in rows["pictures"] if row["label"])
    other = next(row for row in rows["pictures"] if row["split"] == "train")
    label = "light" if other["label"] == "dark" else "dark"
    device.http.patch(f"/pictures/shades/{other['id']}", json={"label": label})
    assert listed(device)["untrained"] == 1  # with that label it was not trained on


def test_no_byte_of_a_picture_and_no_name_of_one_leaves_the_device(
    device: Server, main_server: Server, connection: Connection
) -> None:
    device.do(SEND)
    main_server.do("/aggregate_models?task=shades")
    main_server.do("/send_model_clients?task=shades")
    rows = listed(device)["pictures"]
    secrets = [row["name"].encode() for row in rows if len(row["name"]) > 5]
    for row in rows:
        address = f"/pictures/shades/{row['id']}"
        for part in (address, f"{address}/thumbnail"):
            content = device.http.get(part).content
            secrets += [content[at : at + 24] for at in range(600, len(content) - 24, 24)]
        secrets.append(row["id"].encode())
    assert len(secrets) > 50
    assert any(call.startswith("POST /cmodel") for call, _ in connection.sent)
    for call, body in connection.sent:
        for secret in secrets:
            assert secret not in body, call
            assert secret not in call.encode()


def test_deleted_they_are_gone(device: Server) -> None:
    folder = device.state / "pictures" / "shades"
    rows = listed(device)["pictures"]
    assert {file.stem for file in folder.iterdir()} == {row["id"] for row in rows}
    for row in rows:
        address = f"/pictures/shades/{row['id']}"
        answer = device.http.delete(address)
        assert answer.json() == {"task": "shades", "id": row["id"], "deleted": True}
        for gone in (address, f"{address}/thumbnail"):
            assert device.http.get(gone).status_code == 404
        assert device.http.delete(address).status_code == 404
    assert listed(device)["total"] == 0
    assert not list(folder.iterdir())
    assert device.task("shades")["num_samples"]["train"] == 20


def test_a_task_without_a_folder_trains_on_uploaded_pictures(device: Server) -> None:
    assert "Upload some on this device's page" in device.task("barren")["problem"]
    files = [(f"{name}.{seed}.png", picture(10 + seed)) for seed in range(4) for name in ("one",)]
    files += [(f"two.{seed}.png", picture(20 + seed)) for seed in range(4)]
    assert send(device, files, "/pictures?task=barren").json()["kept"] == 8
    assert device.task("barren")["problem"] is None
    assert device.task("barren")["can_train"] is True
    assert device.do("/modeltrain?task=barren", {"epochs": 1})["num_samples"] == 8


def test_the_main_server_hears_how_many_there_are(main_server: Server) -> None:
    def told() -> bool:
        (row,) = main_server.get("/devices")["devices"]
        return bool(row["tasks"]["barren"]["num_samples"] == 8)

    wait_until(told)


def test_a_page_of_another_server_cannot_upload(device: Server) -> None:
    foreign = {"Origin": "http://elsewhere.example"}
    assert send(device, [("dark.jpg", picture(50))], headers=foreign).status_code == 403
    assert listed(device)["total"] == 0
