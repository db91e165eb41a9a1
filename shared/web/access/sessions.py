"""Session cookies: signed, for this server alone, out of reach of scripts."""

import re

from flask import Flask, request
from flask.sessions import SecureCookieSessionInterface


class Sessions(SecureCookieSessionInterface):
    """Flask's signed cookies.

    The cookie is named after the server: a browser sends cookies of one host to all of its ports,
    where the servers of one machine are. It is marked Secure when it goes out over TLS.
    """

    def __init__(self, server: str) -> None:
        self._name = f"fedbell_session_{re.sub('[^a-z0-9]+', '_', server.lower())}"

    def get_cookie_name(self, app: Flask) -> str:
        """One of this server's own."""
        return self._name

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether this request came over TLS."""
        return request.is_secure

    def get_cookie_httponly(self, app: Flask) -> bool:
        """No script reads it."""
        return True

    def get_cookie_samesite(self, app: Flask) -> str:
        """A page of another site sends it with nothing that changes anything."""
        return "Lax"
