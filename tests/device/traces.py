"""What of pictures must not be found in what was sent: their bytes, pixels, names, encoded too."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from shared.datasets import decode

_WINDOW = 12
#: A window of fewer different bytes is in anything: zeros, say.
_FEWEST_BYTES = 7
_SIDE = 32


def picture(seed: int, suffix: str = ".png") -> bytes:
    """A noisy picture's file, each seed's another one."""
    pixels = np.random.default_rng(seed).normal(120, 60, (40, 40, 3)).clip(0, 255)
    return cv2.imencode(suffix, pixels.astype(np.uint8))[1].tobytes()


def with_exif(jpeg: bytes, told: bytes) -> bytes:
    """A JPEG whose metadata tell something."""
    told = b"Exif\0\0" + told
    return jpeg[:2] + b"\xff\xe1" + (len(told) + 2).to_bytes(2) + told + jpeg[2:]


def windows(content: bytes, step: int = 1) -> set[bytes]:
    """Its runs of twelve bytes, from every ``step``-th place."""
    return {content[at : at + _WINDOW] for at in range(0, len(content) - _WINDOW + 1, step)}


class Traces:
    """Windows of pictures, and names; :meth:`leaked` looks for them.

    Args:
        directory: for a file of each picture.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._windows: set[bytes] = set()
        self._texts: dict[bytes, str] = {}
        self.add(picture(10**6))
        self.add(picture(10**6, ".jpg"))
        #: What pictures that nobody has share with others is the format's.
        self._common, self._windows = self._windows, set()

    def add(self, content: bytes) -> None:
        """A picture's file: itself and its pixels, as they are and as a network sees them."""
        self._windows |= windows(content)
        for start in range(3):
            self._windows |= windows(base64.b64encode(content[start:]), 4)
        self._windows |= windows(content.hex().encode(), 4)
        file = self._directory / "picture"
        file.write_bytes(content)
        whole = np.asarray(cv2.imread(str(file)))
        for pixels in (whole, whole[:, :, ::-1], decode(file, _SIDE)):
            self._windows |= windows(pixels.tobytes())
            self._windows |= windows((pixels.astype(np.float32) / 255).tobytes(), 4)

    def add_name(self, name: str) -> None:
        """A file's name, however it may be written."""
        for text in (name, quote(name), json.dumps(name)[1:-1], name.rpartition(".")[0]):
            self._texts[text.encode()] = name
            self._texts[base64.b64encode(text.encode())[:-4]] = name

    def leaked(self, sent: Iterable[bytes]) -> list[str]:
        """What of all this is found in what was sent."""
        found = []
        for data in sent:
            for hit in (windows(data) & self._windows) - self._common:
                if len(set(hit)) >= _FEWEST_BYTES:
                    at = data.index(hit)
                    found.append(f"{hit!r} of a picture: {data[max(0, at - 60) : at + 60]!r}")
            found += [name for text, name in self._texts.items() if text in data]
        return found
