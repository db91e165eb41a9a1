"""A task's pictures as the web side sees them: counted and looked over, never opened.

Some lie in the folders of a data set, others were uploaded; both count alike.
"""

from collections.abc import Mapping
from pathlib import Path
from unicodedata import normalize

from shared.datasets.class_folders import count_pictures, folders_in
from shared.errors import FedbellError
from shared.federated.task import Task

SPLITS = ("train", "valid", "test")

#: Number of pictures by class, and by split.
ClassCounts = Mapping[str, Mapping[str, int]]


def by_class(directory: Path, task: Task, uploaded: ClassCounts) -> dict[str, dict[str, int]]:
    """Number of pictures by class and split, of every class of the task.

    Args:
        directory: the folder of the task's splits; 0 where one is missing or may not be read.
        uploaded: numbers of the uploaded ones, which are added.
    """
    return {
        name: {
            split: _count(directory / split, name) + uploaded.get(name, {}).get(split, 0)
            for split in SPLITS
        }
        for name in task.classes
    }


def by_split(classes: ClassCounts) -> dict[str, int]:
    """Number of pictures by split, of all classes that :func:`by_class` counted."""
    return {split: sum(numbers[split] for numbers in classes.values()) for split in SPLITS}


def problem(directory: Path, task: Task, uploaded: ClassCounts) -> str | None:
    """Why this device cannot train the task with the pictures it has; None if it can.

    Args:
        directory: the folder of the task's splits.
        uploaded: numbers of the uploaded ones.
    """
    try:
        known = {normalize("NFC", name) for name in task.classes}
        for split in SPLITS:
            for folder in folders_in(directory / split):
                if normalize("NFC", folder.name) not in known:
                    return (
                        f"{folder} is no class of task {task.name}. Rename or remove the folder, "
                        "or add the class to the task."
                    )
        if not has_training_pictures(directory, task, uploaded):
            return (
                "There is no picture to train on. Upload some on this device's page, or put "
                f".jpg or .png files into {directory / 'train'}/<class>/, where <class> is one "
                f"of: {', '.join(task.classes[:10])}{', …' if len(task.classes) > 10 else ''}."
            )
    except FedbellError as error:
        return error.detail
    return None


def has_training_pictures(directory: Path, task: Task, uploaded: ClassCounts) -> bool:
    """Whether there is a picture to train on.

    Args:
        directory: the folder of the task's splits.
        uploaded: numbers of the uploaded ones.

    Raises:
        UnreadableFolder
    """
    if any(numbers.get("train") for numbers in uploaded.values()):
        return True
    return count_pictures(directory / "train", task.classes) > 0


def _count(split: Path, name: str) -> int:
    try:
        return count_pictures(split, [name])
    except FedbellError:
        return 0
