import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

#: Writes a picture of one colour (BGR) and returns its path.
WritePicture = Callable[..., Path]


@pytest.fixture
def write_picture() -> WritePicture:
    def write(
        path: Path, colour: tuple[int, int, int] = (10, 20, 200), width: int = 12, height: int = 8
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.full((height, width, 3), colour, np.uint8))
        return path

    return write


@pytest.fixture
def test_data() -> Path:
    directory = Path(os.environ.get("FEDBELL_TEST_DATA", "../shared/assets"))
    if not directory.is_dir():
        pytest.skip(f"no test data in {directory}: set FEDBELL_TEST_DATA")
    return directory
