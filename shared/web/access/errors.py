"""Why a call is refused."""

from shared.errors import FedbellError


class LogInNeeded(FedbellError):
    """The call tells nothing of who makes it, or a wrong token."""

    status = 401
    title = "You have to log in"


class NotAllowed(FedbellError):
    """A viewer may not do that."""

    status = 403
    title = "Viewers may only look"
