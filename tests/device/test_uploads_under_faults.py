"""Uploads amid all that goes on at the same time, kills and a full disk: nothing is lost."""

import contextlib
import itertools
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.datasets import pictures
from tests.device.processes import TRAIN, wait_for_version
from tests.device.uploading import (
    CALL,
    MIB,
    check_that_files_and_rows_agree,
    ids,
    own_device,
    picture,
    send,
)
from tests.server import Server, wait_until


@pytest.fixture(scope="module", autouse=True)
def _ready(device: Server) -> None:
    wait_for_version(device, 0)


def test_the_same_picture_from_many_sides_at_once(device: Server) -> None:
    before = ids(device)
    with ThreadPoolExecutor(12) as threads:
        answers = list(
            threads.map(lambda _: send(device, [("dark.jpg", picture(2000))]), range(24))
        )
    told = [answer.json()["pictures"][0]["status"] for answer in answers]
    assert sorted(told) == ["kept"] + 23 * ["known"]
    assert len(check_that_files_and_rows_agree(device)) == len(before) + 1


def test_uploads_and_deletions_go_on_beside_a_training(device: Server) -> None:
    job = device.begin(TRAIN, {"epochs": 1000})
    wait_until(lambda: device.get(job)["progress"])
    (told,) = send(device, [("dark.jpg", picture(3000))]).json()["pictures"]
    assert told["status"] == "kept"
    for each in ids(device) - {told["id"]}:  # also those that are trained on
        assert device.http.delete(f"/pictures/shades/{each}").is_success
    assert device.get(job)["status"] == "running"
    device.post(f"{job}/cancel")
    assert device.ended(job)["status"] == "cancelled"
    assert check_that_files_and_rows_agree(device) == {told["id"]}


def test_pictures_deleted_while_they_are_read_are_skipped(device: Server) -> None:
    files = [(f"dark.{seed}.jpg", picture(4000 + seed, side=200)) for seed in range(300)]
    assert send(device, files).json()["kept"] == 300
    job = device.begin(TRAIN, {"epochs": 1})
    for each in ids(device):
        device.http.delete(f"/pictures/shades/{each}")
    ended = device.ended(job)
    assert ended["status"] == "done", ended["problem"]
    result = ended["result"]
    assert 20 <= result["num_samples"] <= 20 + 240 + 1
    assert 0 <= result["skipped"] <= 300
    assert check_that_files_and_rows_agree(device) == set()


def test_killed_amid_uploads_it_has_all_that_it_acknowledged(
    main_server: Server, tmp_path: Path
) -> None:
    with own_device(main_server, tmp_path) as device:
        acknowledged: set[str] = set()
        seeds = itertools.count()

        def is_longer(those: set[str], number: int) -> bool:
            return len(those) > number

        def upload_until_it_is_killed() -> None:
            while True:
                files = [("dark.jpg", picture(next(seeds))) for _ in range(3)]
                try:
                    answer = send(device, files)
                except httpx.TransportError:
                    return
                acknowledged.update(each["id"] for each in answer.json()["pictures"])

        for pause in (0.3, 0.05, 0.15):
            enough = len(acknowledged) + 10
            threads = [threading.Thread(target=upload_until_it_is_killed) for _ in range(4)]
            for thread in threads:
                thread.start()
            wait_until(partial(is_longer, acknowledged, enough))
            time.sleep(pause)
            device.kill()
            for thread in threads:
                thread.join()
            device.start()
            assert check_that_files_and_rows_agree(device) >= acknowledged
            leftovers = [
                file for file in device.state.rglob("*") if file.name.startswith((".", "tmp"))
            ]
            assert not leftovers


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB, where a device's state will be."""
    directory = tmp_path / "state"
    directory.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or not mount or not umount:
        pytest.skip("only root may mount a small disk")
    command = [mount, "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(directory)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this container may not mount a small disk")
    yield directory
    subprocess.run([umount, "--lazy", str(directory)], check=True)


def test_a_full_disk(small_disk: Path, main_server: Server, tmp_path: Path) -> None:
    with own_device(main_server, tmp_path, LEAST_FREE_BYTES="0") as device:
        random = np.random.default_rng(1)
        shots = [random.integers(0, 256, (600, 600, 3), np.uint8) for _ in range(30)]
        large = [(f"dark.{n}.png", pictures.encoded(shot, ".png")) for n, shot in enumerate(shots)]
        assert sum(len(content) for _, content in large) > 30 * MIB
        kept: set[str] = set()
        refusals: list[Any] = []
        for file in large:
            answer = send(device, [file])
            if answer.status_code == 201:
                kept.add(answer.json()["pictures"][0]["id"])
            else:
                refusals.append(answer)
        assert kept
        assert refusals
        for answer in refusals:
            assert answer.status_code == 507, answer.text
            assert answer.json()["type"] == "urn:fedbell:problem:disk-full"
            assert "What was kept before is still there" in answer.json()["detail"]
        assert check_that_files_and_rows_agree(device) == kept
        # In one call: what fits is kept, and it says so beside the others.
        device.http.delete(f"/pictures/shades/{kept.pop()}")
        device.http.delete(f"/pictures/shades/{kept.pop()}")
        little = [("light.jpg", picture(9999)), *large[-2:]]
        told = send(device, little)
        assert told.status_code == 201, told.text
        assert told.json()["pictures"][0]["status"] == "kept"
        kept |= {each["id"] for each in told.json()["pictures"] if each["id"]}
        # What does not even fit as it comes is refused as a whole, its length told or not.
        form = httpx.Request("POST", "http://a", files=[("pictures", each) for each in large])
        for body in (form.read(), iter([form.read()])):
            headers = {"Content-Type": form.headers["Content-Type"]}
            whole = device.http.post(CALL, content=body, headers=headers)
            assert whole.status_code == 507, whole.text
            assert whole.json()["type"] == "urn:fedbell:problem:disk-full"
        assert check_that_files_and_rows_agree(device) == kept
        # Somebody else took the last byte.
        with contextlib.suppress(OSError), (small_disk / "filler").open("wb", 0) as filler:
            while filler.write(bytes(4096)):
                pass
        assert send(device, [("light.jpg", picture(10_000))]).status_code == 507
        changed = device.http.patch(f"/pictures/shades/{min(kept)}", json={"label": "unseen"})
        assert changed.status_code in {200, 507}, changed.text
        for each in sorted(kept)[-3:]:
            deleted = device.http.delete(f"/pictures/shades/{each}")
            assert deleted.status_code == 200, deleted.text
            kept.remove(each)
        assert ids(device) == kept
        (small_disk / "filler").unlink()
        assert check_that_files_and_rows_agree(device) == kept
        assert send(device, [("light.jpg", picture(10_000))]).status_code == 201
        kept = ids(device)
        page = device.http.get("/", headers={"Accept": "text/html"})
        assert page.is_success
        device.stop()
        device.start()
        assert check_that_files_and_rows_agree(device) == kept
        assert small_disk == device.state
