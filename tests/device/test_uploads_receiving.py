"""Forms as they come over the network: whole, damaged, too large."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Request
from hypothesis import given, settings
from hypothesis import strategies as some
from werkzeug.test import EnvironBuilder

from shared.device.settings import DeviceSettings
from shared.device.uploads.receiving import BusyChecking, Received, UploadTooLarge, received
from shared.errors import FedbellError, UnreadablePicture
from shared.web.problems import BadRequest
from tests.device.test_uploads_kept import device_settings

BOUNDARY = "xxx"


def part(field: str, content: bytes, file: str | None = None) -> bytes:
    name = f'form-data; name="{field}"' + (f'; filename="{file}"' if file is not None else "")
    return f"--{BOUNDARY}\r\nContent-Disposition: {name}\r\n\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
FORM = (
    part("label", "chât".encode())
    + part("pictures", b"one\r\n--xx\r\n", "a.jpg")
    + part("pictures", bytes(300_000), "b.jpg")
    + part("pictures", b"three", "c.jpg")
    + part("other", b"", "d.jpg")
    + part("pictures", b"", "")
    + END
)


def call(body: bytes, announced: int | None = None) -> Request:
    """A call with that body, of which as many bytes are announced."""
    environ = EnvironBuilder(
        "/pictures",
        method="POST",
        data=body,
        content_type=f"multipart/form-data; boundary={BOUNDARY}",
    ).get_environ()
    environ["CONTENT_LENGTH"] = str(len(body) if announced is None else announced)
    return Request(environ)


def small(directory: Path) -> DeviceSettings:
    return device_settings(
        directory,
        most_picture_bytes=200_000,
        most_upload_bytes=1_000_000,
        most_upload_pictures=5,
        least_free_bytes=0,
    )


def test_a_form(tmp_path: Path) -> None:
    with received(call(FORM), small(tmp_path)) as form:
        assert form.fields == {"label": "chât"}
        assert [(file.field, file.name) for file in form.files] == [
            ("pictures", "a.jpg"),
            ("pictures", "b.jpg"),
            ("pictures", "c.jpg"),
            ("other", "d.jpg"),
        ]
        assert form.files[2].read() == b"three"
        assert form.files[0].read() == b"one\r\n--xx\r\n"
        with pytest.raises(UnreadablePicture, match="most_picture_bytes"):
            form.files[1].read()
        assert form.files[3].read() == b""


def test_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    old = part("pictures", b"two", "cafe.jpg").replace(b"cafe", b"caf\xe9")
    body = part("pictures", b"one", "a.jpg") + old + part("pictures", b"three", "c.jpg") + END
    with received(call(body), small(tmp_path)) as form:
        told = [(file.name, file.read()) for file in form.files]
    assert told == [("a.jpg", b"one"), ("caf\ufffd.jpg", b"two"), ("c.jpg", b"three")]


def test_few_forms_are_looked_into_at_a_time(tmp_path: Path) -> None:
    with ExitStack() as at_work:
        for _ in range(4):
            at_work.enter_context(received(call(FORM), small(tmp_path)))
        with (
            pytest.raises(BusyChecking, match="again in 2 seconds"),
            received(call(FORM), small(tmp_path)),
        ):
            pass
    with received(call(FORM), small(tmp_path)) as form:
        assert form.files


def test_limits(tmp_path: Path) -> None:
    many = part("pictures", b"x", "a.jpg") * 6 + END
    for body, told in (
        (part("pictures", bytes(1_000_000), "a.jpg") + END, "most_upload_bytes"),
        (many, "most_upload_pictures"),
        (part("label", bytes(300_000)) + END, "a longer one"),
        (part("label", b"x") * 50 + END, "more fields"),
    ):
        with pytest.raises(UploadTooLarge, match=told), received(call(body), small(tmp_path)):
            pass


def test_a_connection_that_breaks(tmp_path: Path) -> None:
    for length in (0, 40, 200, len(FORM) - 5):
        with (
            pytest.raises(BadRequest, match="broke"),
            received(call(FORM[:length], len(FORM)), small(tmp_path)),
        ):
            pass


@settings(deadline=None)
@given(
    some.lists(some.tuples(some.integers(0, len(FORM)), some.binary(max_size=20)), max_size=4),
    some.binary(max_size=200),
)
def test_any_body_is_a_form_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, damages: list[tuple[int, bytes]], beginning: bytes
) -> None:
    body = bytearray(FORM)
    for at, what in damages:
        body[at : at + len(what)] = what
    directory = tmp_path_factory.getbasetemp()
    for each in (bytes(body), beginning, beginning + bytes(body)):
        try:
            with received(call(each), small(directory)) as form:
                assert isinstance(form, Received)
        except FedbellError:
            continue
