"""The log as server-sent events: resumable, and capped."""

import json
from collections.abc import Iterator

from flask.testing import FlaskClient
from werkzeug import Response

from .conftest import ThinDevice


def open_stream(client: FlaskClient, last: str | None = None) -> Response:
    headers = {"Last-Event-ID": last} if last is not None else {}
    return client.get("/events", headers=headers)


def events(stream: Response, number: int) -> Iterator[dict[str, str]]:
    """The next events, each with its id, kind and data; comments are left out."""
    blocks = stream.iter_encoded()
    while number:
        for block in next(blocks).decode().strip().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
            if "id" in fields:
                number -= 1
                yield fields


def test_every_change_is_told_and_nothing_twice(device: ThinDevice) -> None:
    with open_stream(device.client, "0") as stream:
        assert stream.mimetype == "text/event-stream"
        first = list(events(stream, 2))
    assert [event["event"] for event in first] == ["device_enrolled", "version_made"]
    assert json.loads(first[0]["data"])["device"] == "device1"
    device.send()
    device.client.post("/aggregate_models")
    with open_stream(device.client, first[-1]["id"]) as stream:
        rest = list(events(stream, 3))
    assert [event["event"] for event in rest] == ["round_opened", "update_received", "version_made"]
    assert [int(event["id"]) for event in first + rest] == [1, 2, 3, 4, 5]


def test_without_an_id_it_starts_with_what_comes_next(device: ThinDevice) -> None:
    with open_stream(device.client) as stream:
        device.send()
        assert next(events(stream, 1))["event"] == "round_opened"


def test_streams_are_capped_and_places_come_back(device: ThinDevice) -> None:
    streams = [open_stream(device.client) for _ in range(6)]
    refused = device.client.get("/events")
    assert refused.status_code == 503
    assert refused.content_type == "application/problem+json"
    for stream in streams:
        stream.close()
    with open_stream(device.client) as stream:
        assert stream.status_code == 200


def test_a_refused_update_leaves_no_event(device: ThinDevice) -> None:
    device.send(base_version=9)
    with open_stream(device.client, "2") as stream:
        device.send()
        assert next(events(stream, 1))["event"] == "round_opened"
