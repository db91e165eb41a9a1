"""What people and others should not upload, to a real device over real HTTP.

Each time the same holds: a clear sentence for the file, nothing else lost, the device answers on.
"""

import io
import itertools
import select
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from tests.datasets import pictures
from tests.device.processes import wait_for_version
from tests.device.uploading import (
    CALL,
    MIB,
    answer_of,
    check_that_files_and_rows_agree,
    ids,
    own_device,
    picture,
    say,
    send,
)
from tests.server import Server, wait_until


@pytest.fixture(scope="module", autouse=True)
def _ready(device: Server) -> None:
    wait_for_version(device, 0)


def test_ten_gigabytes_are_refused_before_they_come(device: Server) -> None:
    told = answer_of(say(device, f"Content-Length: {10 * 2**30}"))
    assert told.startswith("HTTP/1.1 413 ")
    assert "upload-too-large" in told
    assert "512 MiB" in told
    assert "most_upload_bytes" in told
    assert device.http.get("/healthz").is_success


def test_a_body_without_an_end_is_refused_while_it_comes(
    main_server: Server, tmp_path: Path
) -> None:
    with own_device(main_server, tmp_path, MOST_UPLOAD_BYTES=str(8 * MIB)) as device:
        connection = say(device, "Transfer-Encoding: chunked")
        begin = (
            b'--xxx\r\nContent-Disposition: form-data; name="pictures"; filename="a.jpg"\r\n\r\n'
        )
        chunk = b"%x\r\n%s\r\n" % (MIB, bytes(MIB))
        connection.sendall(b"%x\r\n%s\r\n" % (len(begin), begin))
        for sent in itertools.count():
            if select.select([connection], [], [], 0)[0]:
                break
            assert sent < 100, "it takes more than it says"
            connection.sendall(chunk)
        told = answer_of(connection)
        assert told.startswith("HTTP/1.1 413 ")
        assert "At most 8 MiB are taken in one call (most_upload_bytes)" in told
        assert device.http.get("/healthz").is_success
        assert {file.name for file in device.state.glob("tmp*")} == set()


def test_uploads_that_stall_give_their_threads_back(main_server: Server, tmp_path: Path) -> None:
    with own_device(main_server, tmp_path, ARRIVAL_SECONDS="1") as device:
        stalled = [say(device, "Content-Length: 100000") for _ in range(20)]
        wait_until(lambda: device.http.get("/healthz").is_success, 20)
        for connection in stalled:
            assert answer_of(connection).startswith("HTTP/1.1 408 ")


def test_bad_files_lose_no_good_one(device: Server) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a.html", "<script>alert(1)</script>")
    tail = archive.getvalue() + b"<html><script>alert(1)</script>"
    files = [
        ("dark.first.jpg", picture(1)),
        ("dark.bomb.png", pictures.bomb()),
        ("dark.polyglot.jpg", picture(2) + tail),
        ("dark.truncated.jpg", picture(3, side=200)[:-300]),
        ("dark.gif.png", b"GIF89a" + bytes(100)),
        ("dark.empty.jpg", b""),
        ("dark.text.jpg", b"no picture"),
        ("../../etc/passwd", picture(4)),
        ("light" + "." * 5000 + "jpg", picture(5)),
        ("light.\u202egpj.exe", picture(6)),
        ("light.\u05d7\u05ea\u05d5\u05dc.jpg", picture(7)),
        ('light";%0D%0AX-Evil: 1.jpg', picture(8)),
        ("dark.large.png", bytes(20 * MIB + 1)),
        ("light.last.png", picture(9, ".png")),
    ]
    answer = send(device, files)
    assert answer.status_code == 201, answer.text
    told = answer.json()["pictures"]
    assert [(each["name"][:20], each["status"], each["label"]) for each in told] == [
        ("dark.first.jpg", "kept", "dark"),
        ("dark.bomb.png", "refused", None),
        ("dark.polyglot.jpg", "kept", "dark"),
        ("dark.truncated.jpg", "refused", None),
        ("dark.gif.png", "refused", None),
        ("dark.empty.jpg", "refused", None),
        ("dark.text.jpg", "refused", None),
        ("passwd", "kept", None),
        ("light" + "." * 15, "kept", "light"),
        ("light.gpj.exe", "kept", "light"),
        ("light.\u05d7\u05ea\u05d5\u05dc.jpg", "kept", "light"),
        ('light";%0D%0AX-Evil:', "kept", "light"),
        ("dark.large.png", "refused", None),
        ("light.last.png", "kept", "light"),
    ]
    details = {each["name"]: each["detail"] for each in told}
    assert "50,000 x 50,000 pixels; at most 50 million" in details["dark.bomb.png"]
    assert f"{len(tail):,} bytes after the end" in details["dark.polyglot.jpg"]
    assert "cut short" in details["dark.truncated.jpg"]
    assert "This is a GIF" in details["dark.gif.png"]
    assert "empty (0 bytes)" in details["dark.empty.jpg"]
    assert "This is text" in details["dark.text.jpg"]
    assert "at most 20 MiB are taken (most_picture_bytes)" in details["dark.large.png"]
    assert all(len(each["name"]) <= 200 for each in told)
    (polyglot,) = (each["id"] for each in told if each["name"] == "dark.polyglot.jpg")
    assert device.http.get(f"/pictures/shades/{polyglot}").content == picture(2)
    assert len(check_that_files_and_rows_agree(device)) == 8
    page = device.http.get("/", headers={"Accept": "text/html"})
    assert page.is_success
    assert "\u202e" not in page.text


@pytest.mark.parametrize(
    ("content_type", "body", "told"),
    [
        ("image/jpeg", picture(1), "multipart/form-data"),
        ("multipart/form-data", b"--x\r\n", "The form cannot be read"),
        ("multipart/form-data; boundary=x", b"--y\r\nno form", "The form cannot be read"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", "No picture came"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="label"\r\n\r\n'
            + bytes(MIB)
            + b"\r\n--x--\r\n",
            "or a longer one",
        ),
    ],
)
def test_a_body_that_is_no_form(device: Server, content_type: str, body: bytes, told: str) -> None:
    before = ids(device)
    answer = device.http.post(CALL, content=body, headers={"Content-Type": content_type})
    assert answer.status_code in {400, 413}
    assert told in answer.json()["detail"]
    assert ids(device) == before


def test_an_unknown_class_or_task_is_named(device: Server) -> None:
    before = ids(device)
    for call in (CALL + "&label=purple", CALL + "&label=" + "x" * 500):
        answer = send(device, [("dark.1.jpg", picture(100))], call)
        assert answer.status_code == 422
        assert answer.json()["type"] == "urn:fedbell:problem:unknown-class"
        assert "Its classes are: dark, light, unseen." in answer.json()["detail"]
    assert send(device, [("a.jpg", picture(100))], "/pictures?task=nonsense").status_code == 404
    assert send(device, [("a.jpg", picture(100))], "/pictures?task=../x").status_code == 400
    assert ids(device) == before


def test_what_is_served_is_the_picture_and_nothing_else(device: Server) -> None:
    secret = b"<script>SECRET</script>, longer than a few bytes"
    photo, drawing = picture(200, side=100), picture(201, ".png", side=100)
    files = [
        ("dark.tail.jpg", photo[:-2] + secret + photo[-2:]),
        (
            "dark.tables.jpg",
            pictures.after_start(photo, pictures.segment(0xDB, b"\3" + secret * 9)),
        ),
        ("light.end.png", drawing[:-12] + pictures.chunk(b"IEND", secret)),
        (
            "light.palette.png",
            pictures.before_pixels(drawing, pictures.chunk(b"PLTE", secret * 12)),
        ),
        ("light.pixels.png", drawing[:-12] + pictures.chunk(b"IDAT", secret) + drawing[-12:]),
    ]
    answer = send(device, files)
    assert answer.status_code == 201, answer.text
    told = {each["name"]: each for each in answer.json()["pictures"] if each["id"]}
    assert {"dark.tail.jpg", *(name for name, _ in files[2:])} <= set(told)
    assert f"{len(secret)} bytes after the end" in told["light.end.png"]["detail"]
    for each in told.values():
        content = device.http.get(f"/pictures/shades/{each['id']}").content
        assert b"SECRET" not in content
        assert len(content) < len(drawing) + len(photo)


def test_heavy_uploads_leave_room_for_others(device: Server) -> None:
    shot = np.random.default_rng(1).integers(0, 64, (3000, 3000, 3), np.uint8)
    heavy = pictures.encoded(shot, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)

    def upload(number: int) -> httpx.Response:
        content = pictures.after_start(heavy, pictures.segment(0xFE, b"%d" % number))
        return device.http.post(CALL, files=[("pictures", (f"dark.{number}.jpg", content))])

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(upload, range(24)))
        statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {201, 503}
    for answer in answers:
        if answer.status_code == 503:
            assert answer.json()["type"] == "urn:fedbell:problem:busy-checking"
            assert answer.headers["Retry-After"] == "2"
    assert send(device, [("dark.jpg", picture(202))]).status_code == 201


def test_a_name_that_is_no_utf_8_loses_no_other(device: Server) -> None:
    files = [("dark.cafe.jpg", picture(210)), ("light.jpg", picture(211))]
    form = httpx.Request("POST", "http://a", files=[("pictures", each) for each in files])
    body = form.read().replace(b"cafe", b"caf\xe9")
    headers = {"Content-Type": form.headers["Content-Type"]}
    answer = device.http.post(CALL, content=body, headers=headers)
    assert answer.status_code == 201, answer.text
    told = [(each["name"], each["label"]) for each in answer.json()["pictures"]]
    assert told == [("dark.caf\ufffd.jpg", "dark"), ("light.jpg", "light")]


def test_a_thousand_files_at_once_and_one_more(device: Server) -> None:
    before = ids(device)
    files = [(f"{('dark', 'light')[seed % 2]}.{seed}.jpg", picture(seed)) for seed in range(1000)]
    refused = send(device, [*files, ("dark.jpg", picture(1000))])
    assert refused.status_code == 413
    assert "At most 1,000 pictures" in refused.json()["detail"]
    assert "most_upload_pictures" in refused.json()["detail"]
    assert ids(device) == before
    files[500] = ("dark.bad.jpg", b"no picture")
    answer = send(device, files)
    assert answer.status_code == 201
    assert answer.json()["kept"] == 999
    assert [each["name"] for each in answer.json()["pictures"]] == [name for name, _ in files]
    assert len(check_that_files_and_rows_agree(device)) > 990
