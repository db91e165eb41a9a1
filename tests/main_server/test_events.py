"""The log as server-sent events: resumable, and capped."""

import json
import threading
from collections.abc import Iterator
from typing import Any

from flask.testing import FlaskClient
from werkzeug import Response

from main_server.server import MainServer
from shared.web.jobs import JobControl

from .conftest import ThinDevice


def open_stream(client: FlaskClient, last: str | None = None) -> Response:
    headers = {"Last-Event-ID": last} if last is not None else {}
    return client.get("/events", headers=headers)


def events(stream: Response, number: int) -> Iterator[dict[str, Any]]:
    """The next events, each with its id and what its data says; comments are left out."""
    blocks = stream.iter_encoded()
    while number:
        for block in next(blocks).decode().strip().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
            if "id" in fields:
                number -= 1
                yield json.loads(fields["data"]) | {"id": fields["id"]}


def test_every_change_is_told_and_nothing_twice(device: ThinDevice) -> None:
    with open_stream(device.client, "0") as stream:
        assert stream.mimetype == "text/event-stream"
        first = list(events(stream, 2))
    assert [event["kind"] for event in first] == ["device_enrolled", "version_made"]
    assert first[0]["device"] == "device1"
    device.send()
    device.client.post("/aggregate_models")
    with open_stream(device.client, first[-1]["id"]) as stream:
        rest = list(events(stream, 3))
    assert [event["kind"] for event in rest] == ["round_opened", "update_received", "version_made"]
    assert [int(event["id"]) for event in first + rest] == [1, 2, 3, 4, 5]


def test_without_an_id_it_starts_with_what_comes_next(device: ThinDevice) -> None:
    with open_stream(device.client) as stream:
        device.send()
        assert next(events(stream, 1))["kind"] == "round_opened"


def test_streams_are_capped_and_places_come_back(device: ThinDevice) -> None:
    streams = [open_stream(device.client) for _ in range(6)]
    refused = device.client.get("/events")
    assert refused.status_code == 503
    assert refused.content_type == "application/problem+json"
    for stream in streams:
        stream.close()
    with open_stream(device.client) as stream:
        assert stream.status_code == 200


def test_a_refused_update_is_told_and_opens_no_round(device: ThinDevice) -> None:
    device.send(base_version=9)
    with open_stream(device.client, "2") as stream:
        device.send()
        kinds = [each["kind"] for each in events(stream, 2)]
        assert kinds == ["update_refused", "round_opened"]


def test_a_stream_goes_on_from_what_the_page_knows(device: ThinDevice) -> None:
    with device.client.get("/events?after=1") as stream:
        assert next(events(stream, 1))["kind"] == "version_made"
    refused = device.client.get("/events?after=soon")
    assert refused.status_code == 400


def test_running_work_is_told_without_an_event(device: ThinDevice) -> None:
    server: MainServer = device.client.application.extensions["fedbell"]
    go_on = threading.Event()

    def work(control: JobControl) -> dict[str, Any]:
        go_on.wait(30)
        control.report({"round": 1})
        return {}

    with open_stream(device.client) as stream:
        blocks = stream.iter_encoded()
        assert b"retry" in next(blocks)
        told = next(block for block in blocks if b"event" in block)  # its first look
        assert told == b"event: progress\ndata: {}\n\n"
        for step in (lambda: server.jobs.start("run_rounds", "digits", work), go_on.set):
            step()
            assert next(block for block in blocks if b"event" in block) == told


def test_the_log_as_text(device: ThinDevice) -> None:
    answer = device.client.get("/events.txt")
    assert answer.mimetype == "text/plain"
    assert "attachment" in answer.headers["Content-Disposition"]
    lines = answer.text.splitlines()
    assert len(lines) == 2
    assert "UTC  device1 " in lines[0]
    assert device.client.get("/events.txt?device=nobody").text == ""


def test_a_page_that_knew_another_store_hears_of_what_comes_next(device: ThinDevice) -> None:
    with open_stream(device.client, "999") as stream:
        device.send()
        assert next(events(stream, 1))["kind"] == "round_opened"
