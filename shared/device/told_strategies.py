"""What a main server tells, with a version, of the strategy that it is to be trained for."""

from collections.abc import Callable

from shared.federated.choice import with_header
from shared.federated.task import Task


class ToldStrategies:
    """Reads it. What makes no sense is as if it were not told.

    Args:
        tell: says so to people, once for each task.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._senseless: set[str] = set()

    def read(self, task: Task, told: str | None) -> Task | None:
        """The task with the strategy that was told; None: none was.

        Args:
            told: as it came.
        """
        if told is None:
            return None
        try:
            return with_header(task, told)
        except ValueError as error:
            if task.name not in self._senseless:
                self._senseless.add(task.name)
                self._tell(
                    f"The main server tells a strategy of {task.name} that makes no sense: {error}."
                )
            return None
