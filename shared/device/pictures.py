"""A task's pictures as the web side sees them: counted and looked over, never opened."""

from pathlib import Path
from unicodedata import normalize

from shared.datasets.class_folders import count_pictures, folders_in
from shared.errors import FedbellError
from shared.federated.task import Task

SPLITS = ("train", "valid", "test")


def counts(directory: Path, task: Task) -> dict[str, int]:
    """Number of pictures by split; 0 where a split is missing or may not be read."""
    return {split: _count(directory / split, task) for split in SPLITS}


def problem(directory: Path, task: Task) -> str | None:
    """Why this device cannot train the task with what lies in ``directory``; None if it can."""
    try:
        known = {normalize("NFC", name) for name in task.classes}
        for split in SPLITS:
            for folder in folders_in(directory / split):
                if normalize("NFC", folder.name) not in known:
                    return (
                        f"{folder} is no class of task {task.name}. Rename or remove the folder, "
                        "or add the class to the task."
                    )
        if not count_pictures(directory / "train", task.classes):
            return (
                f"There is no picture to train on. Put .jpg or .png files into "
                f"{directory / 'train'}/<class>/, where <class> is one of: "
                f"{', '.join(task.classes[:10])}{', …' if len(task.classes) > 10 else ''}."
            )
    except FedbellError as error:
        return error.detail
    return None


def _count(directory: Path, task: Task) -> int:
    try:
        return count_pictures(directory, task.classes)
    except FedbellError:
        return 0
