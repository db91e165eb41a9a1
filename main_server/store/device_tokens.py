"""The tokens of the enrolled devices: whose one is, and how it is revoked or changed."""

import hashlib
import hmac
import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from main_server.store.revoked_tokens import RevokedToken
from main_server.store.tables import Device
from shared.errors import FedbellError
from shared.web.access.who import ANONYMOUS, OPERATOR, VIEWER, known_as
from shared.web.database import Database
from shared.web.events import record
from shared.web.problems import NotFound

#: What the log calls people; a device of such a name could not be told from them.
_TAKEN_NAMES = {ANONYMOUS, OPERATOR, VIEWER}


class WrongToken(FedbellError):
    """The call does not prove that it comes from the device it names."""

    status = 401
    title = "The device's token is wrong"


class TokenRevoked(WrongToken):
    """The token was revoked: nobody can use it any more."""

    title = "The device's token was revoked"


class TokenTaken(WrongToken):
    """A new token that another device holds."""

    title = "The token is another device's"


class NameTaken(FedbellError):
    """A device cannot be called what the log calls people."""

    status = 422
    title = "A device cannot have that name"


class NoRotationAsked(FedbellError):
    """A device changes its token when it is asked to, not before."""

    status = 409
    title = "Nobody asked for another token"


def hash_token(token: str) -> str:
    """What is kept of a token. Tokens are long and random, so a plain hash suffices."""
    return hashlib.sha256(token.encode()).hexdigest()


def check_name(name: str) -> None:
    """Raise NameTaken for what the log calls people."""
    if name in _TAKEN_NAMES:
        raise NameTaken(
            f"The log calls people {name}. Give the device another name: "
            "device_name, or --id of a client."
        )


def check_not_revoked(session: Session, token_hash: str) -> None:
    """Raise TokenRevoked when nobody may use the token any more."""
    if row := session.get(RevokedToken, token_hash):
        raise TokenRevoked(
            f"The token of {row.device} was revoked. To enrol again: have the operator forget "
            f"{row.device} on the main server's page Access, delete the file token in the "
            "device's state directory, and start it with the join token (JOIN_TOKEN)."
        )


class DeviceTokens:
    """Whose token is whose."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, token: str) -> str | None:
        """The name of the device that holds ``token``; None: nobody does."""
        with self._database.read() as session:
            return _name_of(session, hash_token(token))

    def authenticate(self, token: str) -> str:
        """The name of the device that holds ``token``. Raises WrongToken, TokenRevoked."""
        sought = hash_token(token)
        with self._database.read() as session:
            name = _name_of(session, sought)
            if name is None:
                check_not_revoked(session, sought)
        if name is None:
            raise WrongToken(
                "No enrolled device holds this token. A device enrols by itself when it calls "
                "/clientstatus."
            )
        known_as(name)
        return name

    def revoke(self, name: str) -> None:
        """From now on nobody can use the device's token. Raises NotFound."""
        with self._database.write() as session:
            device = _get(session, name)
            if device.revoked is not None:
                return
            device.revoked, device.rotation_asked = time.time(), None
            session.merge(
                RevokedToken(token_hash=device.token_hash, device=name, revoked=device.revoked)
            )
            record(session, "token_revoked", f"The token of {name} was revoked", device=name)

    def ask_for_rotation(self, name: str) -> None:
        """Have the device make itself another token, with its next heartbeat.

        Raises:
            NotFound
            TokenRevoked: it has none that counts.
        """
        with self._database.write() as session:
            device = _get(session, name)
            check_not_revoked(session, device.token_hash)
            device.rotation_asked = time.time()
            message = f"{name} was asked to change its token"
            record(session, "rotation_asked", message, device=name)

    def rotate(self, token: str, new_hash: str) -> str:
        """Take the device's new token in place of ``token``; said twice, it is the same.

        Args:
            token: the one that it holds, or the new one itself when that counts already.
            new_hash: SHA-256 of the new one, in hex: it need not travel itself.

        Returns:
            The device's name.

        Raises:
            WrongToken, TokenRevoked, TokenTaken, NoRotationAsked
        """
        name = self.authenticate(token)
        held = hash_token(token)
        with self._database.write() as session:
            device = session.get(Device, name)
            if device is None or not hmac.compare_digest(device.token_hash, held):
                raise WrongToken("The token was changed or revoked just now.")
            if hmac.compare_digest(held, new_hash):
                return name
            if device.rotation_asked is None:
                raise NoRotationAsked(
                    f"Nobody asked {name} to change its token: Rotate, on the main server's page "
                    "Access."
                )
            check_not_revoked(session, new_hash)
            if _name_of(session, new_hash) is not None:
                raise TokenTaken("The new token is that of another device. Make another one.")
            device.token_hash, device.rotation_asked = new_hash, None
            record(session, "token_rotated", f"{name} has a new token", device=name)
        return name


def _name_of(session: Session, token_hash: str) -> str | None:
    found = session.scalar(select(Device).where(Device.token_hash == token_hash))
    if found is None or found.revoked is not None:
        return None
    return found.name if hmac.compare_digest(found.token_hash, token_hash) else None


def _get(session: Session, name: str) -> Device:
    device = session.get(Device, name)
    if device is None:
        raise NotFound(f"There is no device {name[:64]}.")
    return device
