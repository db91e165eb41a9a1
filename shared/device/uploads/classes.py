"""The classes that people choose for their pictures."""

from shared.errors import FedbellError
from shared.federated.task import Task

_MOST_NAMED = 20


class UnknownClass(FedbellError):
    """A label that is no class of the task."""

    status = 422
    title = "There is no such class"


def check_class(task: Task, label: str | None) -> None:
    """Raise UnknownClass if there is a label and it is no class of the task."""
    if label is not None and label not in task.classes:
        named = ", ".join(task.classes[:_MOST_NAMED])
        more = ", …" if len(task.classes) > _MOST_NAMED else ""
        raise UnknownClass(
            f"{label!r:.80} is no class of task {task.name}. Its classes are: {named}{more}."
        )
