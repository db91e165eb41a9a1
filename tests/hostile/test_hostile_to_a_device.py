"""A device under siege, and what is uploaded to it that is no picture."""

import io
import os
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.device.uploading import check_that_files_and_rows_agree
from tests.federation import Federation
from tests.hostile.house import resident_bytes
from tests.hostile.slow import Siege, dawdlers, head, within
from tests.server import Server, wait_until

_IS_LONG = "FEDBELL_FUZZ" in os.environ
_EXAMPLES = 2000 if _IS_LONG else 120
_SOON_SECONDS = 60
_MOST_GROWTH_BYTES = 96 * 1024 * 1024
_UPLOAD, _TRY = "/pictures?task=shades", "/predict?task=shades"


@pytest.fixture
def device(federation: Federation) -> Server:
    """The device."""
    return federation.devices["device1"]


def _picture(seed: int, suffix: str = ".png") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 40, 3), np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def _upload(device: Server, content: bytes, name: str = "dark.png") -> httpx.Response:
    return device.http.post(_UPLOAD, files={"pictures": (name, content)})


def _leftovers(device: Server) -> list[str]:
    state = device.state
    return [each.name for each in [*state.glob("tmp*"), *(state / "incoming").iterdir()]]


def test_a_siege_of_a_device(device: Server) -> None:
    upload = head(
        "POST",
        _UPLOAD,
        "Content-Type: multipart/form-data; boundary=xxx",
        "Content-Length: 10000000",
    )
    with Siege(device.port, dawdlers(upload, head("GET", "/events.txt"))) as siege:
        with within(_SOON_SECONDS):
            for number in range(20):
                assert device.http.get("/healthz").is_success, number
            assert _upload(device, _picture(1)).status_code == 201
            answer = device.http.post(_TRY, files={"picture": ("any.png", _picture(2))})
            assert answer.is_success, answer.text
        wait_until(lambda: len(siege.left) < len(siege.dawdlers))
    wait_until(lambda: not _leftovers(device))
    assert _upload(device, _picture(3)).status_code == 201


_PNG, _JPEG = _picture(4), _picture(5, ".jpg")
_damages = some.lists(
    some.tuples(some.integers(0, 10**6), some.binary(min_size=1, max_size=9)), max_size=4
)


def _damaged(content: bytes, damages: list[tuple[int, bytes]], end: int | None) -> bytes:
    changed = bytearray(content[:end])
    for at, what in damages:
        place = at % max(1, len(changed))
        changed[place : place + len(what)] = what
    return bytes(changed)


def test_mutated_pictures(device: Server) -> None:
    """Kept or refused with a sentence; what is kept is a picture, and nothing else stays."""
    (worker,) = device.workers()
    for seed in range(10):
        device.http.post(_TRY, files={"picture": ("any.png", _picture(seed))})
    warm = resident_bytes(worker)

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        derandomize=not _IS_LONG,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        some.sampled_from([_PNG, _JPEG, b"", b"GIF89a", b"RIFF\xff\xff\xff\xffWEBPVP8X"]),
        _damages,
        some.none() | some.integers(0, 400),
        some.sampled_from(["dark.png", "../../x", "a" * 3000, "\u202e.png", "", "light.jpg\x00"]),
        some.sampled_from([_UPLOAD, _TRY]),
    )
    def send(content: bytes, damages: list[Any], end: int | None, name: str, call: str) -> None:
        field = "pictures" if call == _UPLOAD else "picture"
        body = io.BytesIO(_damaged(content, damages, end))
        answer = device.http.post(call, files={field: (name, body)})
        assert answer.status_code < 500, answer.text
        assert answer.is_success or len(answer.json()["detail"]) > 10

    send()
    assert check_that_files_and_rows_agree(device)
    assert not _leftovers(device)
    assert device.workers() == [worker], "it has died meanwhile"
    assert resident_bytes(worker) < warm + _MOST_GROWTH_BYTES
    assert "unexpected error" not in device.log.read_text()
