"""How long a client pauses after a call that failed: longer each time."""

from tenacity import RetryCallState, wait_random_exponential
from tenacity.wait import wait_base

from shared.errors import FedbellError

#: The first pause is at most so long, in seconds.
_FIRST_PAUSE = 1.0


class Pauses(wait_base):
    """Random and longer each time, and as long as the main server asks for.

    Failures are counted over all calls of a client, until one comes through or it has trained. If
    each call began to count anew, a client that does nothing but call would come back every few
    seconds, for ever.

    Args:
        most: no pause is longer, in seconds.

    Attributes:
        last: the pause after the last failure, in seconds.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._random = wait_random_exponential(_FIRST_PAUSE, most)
        self._failures = 0
        self.last = 0.0

    def __call__(self, retry_state: RetryCallState) -> float:
        """The seconds after this failure, which counts. Tenacity asks after the last try, too."""
        self._failures += 1
        counted = RetryCallState(retry_state.retry_object, None, (), {})
        counted.attempt_number = self._failures
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = (error.retry_after or 0) if isinstance(error, FedbellError) else 0
        self.last = max(self._random(counted), min(asked, self._most))
        return self.last

    def reset(self) -> None:
        """The next failure is the first again."""
        self._failures = 0
