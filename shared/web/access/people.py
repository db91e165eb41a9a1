"""People: their tokens, their roles, and the sessions of those who logged in on a page."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from flask import Request, session
from sqlalchemy import delete
from sqlalchemy.orm import Session

from shared.web.access.attempts import Attempts
from shared.web.access.secrets import are_equal, kept_key
from shared.web.access.tables import EndedSession
from shared.web.access.who import OPERATOR, VIEWER
from shared.web.database import Database
from shared.web.events import record
from shared.web.settings import PeopleTokens, ServerSettings

#: A log-in lasts so long, however busy somebody is.
SESSION_SECONDS = 12 * 3600


class People:
    """Who may log in as what, on one server.

    Attributes:
        tokens: empty ones: nobody has to log in, and everybody is an operator.
        attempts: the wrong tokens.
        database: with the log.
    """

    def __init__(self, settings: ServerSettings, database: Database) -> None:
        self.tokens: PeopleTokens = settings.people_tokens()
        self.attempts = Attempts(database)
        self.database = database
        self._settings = settings

    @property
    def must_log_in(self) -> bool:
        """Whether people have to show who they are."""
        return bool(self.tokens.admin)

    def signing_key(self) -> bytes:
        """What signs session cookies: with other tokens it is another one, and sessions end."""
        given = self._settings.secret("secret_key")
        key = given or kept_key(self._settings.state_directory / "secret_key")
        tokens = "\0".join(self.tokens).encode()
        return hmac.digest(key.encode(), hashlib.sha256(tokens).digest(), "sha256")

    def role_of(self, token: str) -> str | None:
        """The role that ``token`` gives."""
        role = None
        # Both are always compared: how long it takes tells nothing.
        for name, expected in ((VIEWER, self.tokens.viewer), (OPERATOR, self.tokens.admin)):
            if are_equal(token, expected) and expected:
                role = name
        return role

    def role_by_token(self, token: str, address: str) -> str | None:
        """The role of a call that carries ``token``; a wrong one is counted.

        Raises:
            TooManyLogIns: too many wrong ones came from ``address``.
        """
        self.attempts.check(address)
        role = self.role_of(token)
        if role is None:
            self.attempts.failed(address)
        return role

    def role_by_session(self) -> str | None:
        """The role of the log-in whose cookie came with this request."""
        number, role = session.get("id"), session.get("role")
        if not isinstance(number, str) or role not in {OPERATOR, VIEWER}:
            return None
        if time.time() > float(session.get("expires", 0)):
            return None
        with self.database.read() as rows:
            return None if rows.get(EndedSession, number) else str(role)

    def lasting(self) -> Callable[[], bool]:
        """Whether the log-in of this request still holds; to be asked after the request too."""
        number, expires = str(session["id"]), float(session["expires"])

        def lasts() -> bool:
            if time.time() > expires:
                return False
            with self.database.read() as rows:
                return rows.get(EndedSession, number) is None

        return lasts

    def log_in(self, role: str, address: str) -> None:
        """Begin a session in this request's cookie; one that was there ends with that."""
        if role == OPERATOR:  # a viewer's token is no leave to guess the operator's
            self.attempts.forgive(address)
        former = None
        if self.role_by_session():
            former = str(session["id"]), float(session["expires"])
        session.clear()
        session.permanent = True
        session.update(id=secrets.token_hex(16), role=role, expires=time.time() + SESSION_SECONDS)
        with self.database.write() as rows:
            if former is not None:
                _end(rows, *former)
            record(rows, "log_in", f"Logged in as {role}")

    def log_out(self) -> None:
        """End the session of this request, for every copy of its cookie."""
        number, expires = session.get("id"), session.get("expires")
        if isinstance(number, str) and self.role_by_session():
            with self.database.write() as rows:
                _end(rows, number, float(expires or 0))
                record(rows, "log_out", "Logged out")
        session.clear()


def _end(rows: Session, number: str, expires: float) -> None:
    rows.execute(delete(EndedSession).where(EndedSession.expires < time.time()))
    rows.merge(EndedSession(id=number, expires=expires))


def bearer(call: Request) -> str:
    """The token of ``Authorization: Bearer …``; empty when there is none."""
    scheme, _, token = call.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
