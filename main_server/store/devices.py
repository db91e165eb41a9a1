"""Devices: who they are, where they are, and what they last said."""

import hmac
import socket
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from main_server.schemas import ClientStatus, DeviceTaskStatus
from main_server.store.device_tokens import (
    DeviceTokens,
    WrongToken,
    check_name,
    check_not_revoked,
    hash_token,
)
from main_server.store.evaluations import note_evaluation
from main_server.store.round_ends import note_installed
from main_server.store.tables import Device, DeviceTask, Version
from shared.errors import FedbellError
from shared.web.access.addresses import parse_address
from shared.web.access.attempts import Attempts
from shared.web.access.who import known_as
from shared.web.database import Database
from shared.web.events import Event, record
from shared.web.problems import NotFound

_SHORTEST_TOKEN = 32
#: The log tells of a device's problems with a task once in so many seconds...
_PROBLEM_SECONDS = 60.0
#: ...and among so many of the newest events the last time is looked for.
_EVENTS_OF_A_MINUTE = 5000


class WrongJoinToken(FedbellError):
    """The federation takes only devices that know its join token."""

    status = 403
    title = "The join token is wrong"


class BadAddress(FedbellError):
    """A device's address that the main server will not call."""

    status = 422
    title = "The device's address cannot be used"


class Devices:
    """The enrolled devices.

    Args:
        join_token: what a new device must know; empty: enrolment is open.
        trusted_hosts: hosts a device may give as its own wherever it calls from.
    """

    def __init__(self, database: Database, join_token: str, trusted_hosts: Sequence[str]) -> None:
        self._database = database
        self._join_token = join_token
        self._trusted_hosts = frozenset(trusted_hosts)
        self.tokens = DeviceTokens(database)
        #: Wrong tokens that came instead of one of a device, or of the join token.
        self.attempts = Attempts(database, of="devices at ")

    def authenticate(self, token: str) -> str:
        """The name of the device that holds ``token``. Raises WrongToken."""
        return self.tokens.authenticate(token)

    def heartbeat(self, status: ClientStatus, token: str, join_token: str, caller: str) -> bool:
        """Note that a device is there and what it says; enrol it the first time.

        Args:
            status: of tasks that there are.
            caller: the IP address that the call came from.

        Returns:
            Whether it is to make itself another token.

        Raises:
            WrongToken, TokenRevoked, WrongJoinToken, BadAddress, NameTaken
            TooManyLogIns: a new device comes from where too many wrong tokens came from.
        """
        name, url = status.device, status.url
        with self._database.read() as session:
            known = session.get(Device, name)
        if known is None:
            if self._join_token:  # what could be guessed: who is enrolled need not wait
                self.attempts.check(caller)
            self._check_joining(name, token, join_token)
        address = self._check_address(url, caller) if url is not None else None
        # What a heartbeat says, the next one says again; who has a name is said once.
        with self._database.write(durable=known is None) as session:
            if known is not None and session.get(Device, name) is None:
                self._check_joining(name, token, join_token)  # it was forgotten just now
            device = self._enrolled(session, name, url, hash_token(token))
            known_as(name)
            device.url, device.address, device.page_url = url, address, status.page_url or url
            device.last_seen = time.time()
            session.flush()  # what it says of tasks refers to it
            for task, told in status.tasks.items():
                _note_task(session, name, task, told)
            return device.rotation_asked is not None

    def _check_joining(self, name: str, token: str, join_token: str) -> None:
        """Raise WrongJoinToken or WrongToken for a new device that may not join."""
        expected = self._join_token.encode()
        if expected and not hmac.compare_digest(join_token.encode(), expected):
            raise WrongJoinToken(f"Give {name} this federation's join token (JOIN_TOKEN).")
        if len(token) < _SHORTEST_TOKEN:
            raise WrongToken(f"A device's token has at least {_SHORTEST_TOKEN} characters.")

    def _enrolled(self, session: Session, name: str, url: str | None, token_hash: str) -> Device:
        device = session.get(Device, name)
        check_not_revoked(session, token_hash)
        if device is None:
            check_name(name)
            other = session.scalar(select(Device.name).where(Device.token_hash == token_hash))
            if other is not None:
                raise WrongToken(
                    f"This token is {other}'s. Was its state copied to {name}? Start {name} with "
                    "a state directory of its own."
                )
            device = Device(name=name, token_hash=token_hash, enrolled=time.time())
            session.add(device)
            known_as(name)
            record(session, "device_enrolled", _enrolment(name, url), device=name)
        elif not hmac.compare_digest(device.token_hash, token_hash):
            raise WrongToken(
                f"{name} is enrolled with another token. If this is the same device and its "
                f"state was deleted, forget the old one first: the page's Forget button, or "
                f"fedbell tokens forget {name}. Otherwise give it another name: device_name, or "
                "--id of a client."
            )
        return device

    def _check_address(self, url: str, caller: str) -> str | None:
        """A device may only name a host that its own call came from: nobody else's.

        Returns:
            The IP address to call it at; None where its host is trusted.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadAddress(f"device_url {url[:200]!r} is not an address: {error}.") from error
        host = parts.hostname
        plain = parts.scheme in {"http", "https"} and host and not parts.username
        if not plain or host is None or parts.path.strip("/") or parts.query or parts.fragment:
            raise BadAddress(
                f"device_url {url[:200]!r} is not of the form http://host:port, without a path."
            )
        if host in self._trusted_hosts:
            return None
        try:
            found = socket.getaddrinfo(host, port or 80, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise BadAddress(
                f"The host of device_url {url[:200]} is not found: {error}."
            ) from error
        called_from = parse_address(caller)
        if called_from is None:
            raise BadAddress(
                f"This call came without an IP address, through a Unix socket for one, so nothing "
                f"shows that device_url {url[:200]} is the caller's. If that is right, start the "
                f"main server with DEVICE_HOSTS={host}."
            )
        if called_from not in {parse_address(str(entry[4][0])) for entry in found}:
            raise BadAddress(
                f"device_url {url[:200]} is not where this call came from ({caller}). If that is "
                f"right, start the main server with DEVICE_HOSTS={host}."
            )
        # Of this machine's links, the zone tells which; it is called there.
        return caller if called_from.is_link_local else str(called_from)

    def all(self) -> list[Device]:
        """All devices, by name."""
        with self._database.read() as session:
            return list(session.scalars(select(Device).order_by(Device.name)))

    def of_task(self, task: str) -> Mapping[str, DeviceTask]:
        """What each device that takes part in ``task`` last said of it, by device name; not those
        whose token was revoked."""
        query = (
            select(DeviceTask)
            .join(Device, DeviceTask.device == Device.name)
            .where(DeviceTask.task == task, Device.revoked.is_(None))
            .order_by(DeviceTask.device)
        )
        with self._database.read() as session:
            return {row.device: row for row in session.scalars(query)}

    def with_task(self, task: str) -> Mapping[str, tuple[Device, DeviceTask]]:
        """Each device that takes part in ``task``, and what it last said of it, by name; not
        those whose token was revoked."""
        query = (
            select(Device, DeviceTask)
            .join(DeviceTask, DeviceTask.device == Device.name)
            .where(DeviceTask.task == task, Device.revoked.is_(None))
            .order_by(Device.name)
        )
        with self._database.read() as session:
            return {device.name: (device, told) for device, told in session.execute(query)}

    def forget(self, name: str) -> None:
        """Remove a device; it may enrol anew. What it gave to rounds stays. Raises NotFound."""
        with self._database.write() as session:
            if session.get(Device, name) is None:
                raise NotFound(f"There is no device {name[:64]}.")
            session.execute(delete(DeviceTask).where(DeviceTask.device == name))
            session.execute(delete(Device).where(Device.name == name))
            record(session, "device_forgotten", f"{name} was forgotten", device=name)


def _enrolment(name: str, url: str | None) -> str:
    return f"{name} enrolled, at {url}" if url else f"{name} enrolled; it comes by itself"


def _told_lately(session: Session, device: str, task: str) -> bool:
    """Whether the log tells of a problem of ``device`` within the last minute.

    However often a device has another one; the newest is shown all the same.
    """
    newest = session.scalar(select(func.max(Event.id))) or 0
    query = select(Event.id).where(
        Event.id > newest - _EVENTS_OF_A_MINUTE,
        Event.kind == "device_problem",
        Event.device == device,
        Event.task == task,
        Event.time > time.time() - _PROBLEM_SECONDS,
    )
    return session.scalar(query.limit(1)) is not None


def _note_task(session: Session, device: str, task: str, told: DeviceTaskStatus) -> None:
    row = session.get(DeviceTask, (device, task))
    if row is None:
        row = DeviceTask(device=device, task=task, num_samples=told.num_samples)
        session.add(row)
    if told.problem and row.problem != told.problem and not _told_lately(session, device, task):
        record(session, "device_problem", told.problem, task=task, device=device)
    measured = told.evaluation.version if told.evaluation else None
    new = {version for version in (told.version, measured) if version not in (None, row.version)}
    row.num_samples, row.version = told.num_samples, told.version
    row.problem, row.reservation = told.problem, told.reservation
    row.activity = told.activity.model_dump(mode="json") if told.activity else None
    if new:
        note_installed(session, task, new)
    if told.evaluation and session.get(Version, (task, told.evaluation.version)):
        note_evaluation(session, task, told.evaluation.version, device, told.evaluation)
