"""Problems that another process had: told on as they are."""

from typing import Any

from shared.errors import FedbellError

#: Not: who called, where to, how often, how slowly.
_ABOUT_THE_CONTENT = set(range(400, 500)) - {401, 403, 408, 425, 429}

#: The main server's problem with an update of a device that its round does not ask, so far.
NOT_ASKED = "not-asked"
#: The same of a round that has all the updates that count. Where late ones are merged, the update
#: counts once the round's version is made.
ROUND_FULL = "round-full"
#: Its problem with one that started from a version it no longer has: it went back to a backup, and
#: made another one of that number.
OTHER_BASE = "other-base"
#: Its problem with one that was trained for another strategy than the round's.
OTHER_STRATEGY = "other-strategy"


class RemoteProblem(FedbellError):
    """Problem details of the main server or the trainer, which keep type, title and detail.

    Args:
        members: RFC 9457 problem details; what is missing is filled in.
        wait: the seconds after which the other side wants to be asked again, if it said so.
    """

    def __init__(self, members: dict[str, Any], wait: int | None = None) -> None:
        super().__init__(
            str(members.get("detail") or members.get("title") or "It did not say why.")
        )
        self._wait = wait
        self._members = {"type": "about:blank", "title": self.title, "status": 502} | members

    @property
    def retry_after(self) -> int | None:  # type: ignore[override]
        """See FedbellError."""
        return self._wait

    @property
    def kind(self) -> str:
        """The other side's, such as ``stale-update``."""
        return str(self._members["type"]).removeprefix("urn:fedbell:problem:")

    @property
    def is_about_the_content(self) -> bool:
        """Whether a call was refused for what came with it: the same again would be, too."""
        return self._members["status"] in _ABOUT_THE_CONTENT

    def as_problem(self) -> dict[str, Any]:
        """What the other side said."""
        return self._members | {"detail": self.detail}
