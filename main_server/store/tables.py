"""The tables of the main server's store. Times are seconds since 1970."""

from typing import Any, ClassVar

from sqlalchemy import JSON, ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Tables(DeclarativeBase):
    """All tables of this module."""

    type_annotation_map: ClassVar = {dict[str, Any]: JSON, dict[str, float]: JSON}


class Federation(Tables):
    """One row: which federation this is. A new store is a new federation."""

    __tablename__ = "federation"

    id: Mapped[str] = mapped_column(primary_key=True)


class Device(Tables):
    """An enrolled device. ``token_hash`` is the SHA-256 of its token.

    ``address``: the IP address that the host of ``url`` is called at, the one the device
    itself called from; None where its host is trusted and looked up.
    """

    __tablename__ = "devices"

    name: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    address: Mapped[str | None]
    page_url: Mapped[str]
    token_hash: Mapped[str] = mapped_column(unique=True)
    enrolled: Mapped[float]
    last_seen: Mapped[float]


class DeviceTask(Tables):
    """What a device last said of one task. ``problem``: why it cannot take part, if so."""

    __tablename__ = "device_tasks"

    device: Mapped[str] = mapped_column(
        ForeignKey("devices.name", ondelete="CASCADE"), primary_key=True
    )
    task: Mapped[str] = mapped_column(primary_key=True)
    num_samples: Mapped[int]
    version: Mapped[int | None]
    problem: Mapped[str | None]


class Version(Tables):
    """A global model at one version. Never changed, but for ``released``.

    ``released``: its distribution has begun, so a device that was away may fetch
    it by itself. ``network``: the part of the task that decides the weights.
    """

    __tablename__ = "versions"

    task: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sha256: Mapped[str]
    fingerprint: Mapped[str]
    backbone: Mapped[str]
    network: Mapped[dict[str, Any]]
    bytes: Mapped[int]
    created: Mapped[float]
    released: Mapped[bool] = mapped_column(default=False)


class Round(Tables):
    """From one global version to the next. ``status``: open, aggregated or distributed."""

    __tablename__ = "rounds"
    __table_args__ = (UniqueConstraint("task", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    number: Mapped[int]
    status: Mapped[str]
    strategy: Mapped[str]
    base_version: Mapped[int]
    version: Mapped[int | None]
    started: Mapped[float]
    finished: Mapped[float | None]
    updates: Mapped[list["ReceivedUpdate"]] = relationship(
        order_by="ReceivedUpdate.device", lazy="selectin"
    )


class ReceivedUpdate(Tables):
    """A device's update of one round: the newest it sent, and only that, counts."""

    __tablename__ = "updates"

    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"), primary_key=True)
    device: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    num_samples: Mapped[int]
    metrics: Mapped[dict[str, float]]
    bytes: Mapped[int]
    received: Mapped[float]


class Evaluation(Tables):
    """How well one version did on one device's own test pictures."""

    __tablename__ = "evaluations"

    task: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    device: Mapped[str] = mapped_column(primary_key=True)
    accuracy: Mapped[float]
    loss: Mapped[float]
    num_samples: Mapped[int]
