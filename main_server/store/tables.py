"""The tables of the main server's store. Times are seconds since 1970."""

from typing import Any, ClassVar

from sqlalchemy import JSON, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from shared.web.column_types import TEXT, WHOLE

#: JSON in a column that is NULL where there is none.
_JSON_OR_NULL = JSON(none_as_null=True)


def _of_some(name: str, where: str, *columns: str) -> Index:
    """An index of the rows where a condition holds."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


class Tables(DeclarativeBase):
    """All tables of this module."""

    type_annotation_map: ClassVar = {
        str: TEXT,
        int: WHOLE,
        dict[str, Any]: JSON,
        dict[str, float]: JSON,
        list[str]: JSON,
    }


class Federation(Tables):
    """One row: which federation this is. A new store is a new federation.

    ``last_started``: when a main server last began to listen. ``last_heard``: when devices had
    last been heard before that; see :class:`~main_server.store.candidates.Presence`.
    """

    __tablename__ = "federation"

    id: Mapped[str] = mapped_column(primary_key=True)
    last_heard: Mapped[float | None]
    last_started: Mapped[float | None]


class Device(Tables):
    """An enrolled device. ``token_hash`` is the SHA-256 of its token.

    ``url``: where it is called; None for one that cannot be and comes by itself: it pulls the
    global model and pushes its updates.
    ``revoked``: when its token was; it must be enrolled anew. ``rotation_asked``: when it was told
    to make itself a new token, and has not yet.
    ``address``: the IP address that the host of ``url`` is called at, the one the device
    itself called from; None where its host is trusted and looked up.
    """

    __tablename__ = "devices"

    name: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str | None]
    address: Mapped[str | None]
    page_url: Mapped[str | None]
    token_hash: Mapped[str] = mapped_column(unique=True)
    enrolled: Mapped[float]
    last_seen: Mapped[float]
    revoked: Mapped[float | None]
    rotation_asked: Mapped[float | None]


class DeviceTask(Tables):
    """What a device last said of one task.

    ``problem``: why it cannot take part, if so. ``reservation``: what it cannot do although it
    takes part. ``activity``: the step that it is at, an
    :class:`~shared.federated.activity.Activity`; None when it is at none.
    ``failures``: in how many rounds in a row it failed. ``rests_until``: the number of the first
    round that asks it again; None: it is not rested.
    """

    __tablename__ = "device_tasks"

    device: Mapped[str] = mapped_column(
        ForeignKey("devices.name", ondelete="CASCADE"), primary_key=True
    )
    task: Mapped[str] = mapped_column(primary_key=True)
    num_samples: Mapped[int]
    version: Mapped[int | None]
    problem: Mapped[str | None]
    reservation: Mapped[str | None]
    activity: Mapped[dict[str, Any] | None] = mapped_column(_JSON_OR_NULL)
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    rests_until: Mapped[int | None]


class TaskStrategy(Tables):
    """The strategy that a task's rounds go by.

    A strategy is its name, ``strategy``, and those of its ``parameters`` that have not their
    defaults. ``following``: the one that is in use from the next round on; None: the same.
    ``configured``: what tasks.toml said when this was written last. What is chosen holds until
    that says something else.
    """

    __tablename__ = "task_strategies"

    task: Mapped[str] = mapped_column(primary_key=True)
    strategy: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    following: Mapped[dict[str, Any] | None] = mapped_column(_JSON_OR_NULL)
    configured: Mapped[dict[str, Any]]


class Version(Tables):
    """A global model at one version. Never changed, but for ``released``.

    ``released``: its distribution has begun, so a device that was away may fetch
    it by itself. ``network``: the part of the task that decides the weights.
    ``promoted_from``: the older version whose weights these are; None for a round's result.
    ``state``: what an asynchronous rule needs of the versions before besides their weights, small
    and ready for JSON. ``made_by``: the strategy that made it, a
    :class:`~main_server.made_by.MadeBy`; None where none did. ``pruned``: when its file was
    deleted; None: it is there.
    """

    __tablename__ = "versions"
    #: There may be very many versions, of which few are kept and fewer were promoted.
    __table_args__ = (
        _of_some("versions_kept", "pruned IS NULL", "task", "version"),
        _of_some("versions_promoted", "promoted_from IS NOT NULL", "task", "version"),
    )

    task: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sha256: Mapped[str]
    fingerprint: Mapped[str]
    backbone: Mapped[str]
    network: Mapped[dict[str, Any]]
    bytes: Mapped[int]
    created: Mapped[float]
    released: Mapped[bool] = mapped_column(default=False)
    promoted_from: Mapped[int | None]
    state: Mapped[dict[str, Any] | None] = mapped_column(_JSON_OR_NULL)
    made_by: Mapped[dict[str, Any] | None] = mapped_column(_JSON_OR_NULL)
    pruned: Mapped[float | None]


class Round(Tables):
    """From one global version to the next.

    ``status``: open, aggregated, distributed or abandoned. ``parameters``: all of the strategy's;
    None: they were not noted, or it is a rule of asynchronous tasks. ``unchanged``: the devices
    that sent nothing and counted with the version the round started from, each with its number of
    samples.
    ``selected``: the devices that are asked in this round; None: all. ``quorum``: how many updates
    make its version; more do not count. ``deadline``: when it is aggregated by itself.
    ``stand_ins``: those of ``selected`` that are asked in the places of others, each with when.
    In a task of mode async, a round is the updates that made one version together.
    """

    __tablename__ = "rounds"
    __table_args__ = (
        UniqueConstraint("task", "number"),
        Index("rounds_version", "task", "version"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    number: Mapped[int]
    status: Mapped[str]
    strategy: Mapped[str]
    parameters: Mapped[dict[str, Any] | None] = mapped_column(_JSON_OR_NULL)
    base_version: Mapped[int]
    version: Mapped[int | None]
    started: Mapped[float]
    finished: Mapped[float | None]
    unchanged: Mapped[dict[str, Any] | None] = mapped_column(_JSON_OR_NULL)
    selected: Mapped[list[str] | None] = mapped_column(_JSON_OR_NULL)
    quorum: Mapped[int | None]
    deadline: Mapped[float | None]
    stand_ins: Mapped[dict[str, float] | None] = mapped_column(_JSON_OR_NULL)
    updates: Mapped[list["ReceivedUpdate"]] = relationship(
        order_by="ReceivedUpdate.device, ReceivedUpdate.number", lazy="selectin"
    )


class ReceivedUpdate(Tables):
    """A device's update of one round. In a task of mode async all count, in order of ``number``.

    In a synchronous round the newest counts that a device sent of each version it started from:
    one of the round's own, and late ones.

    Attributes:
        number: in a synchronous round how many versions it is late: 0 for one that started from
            the round's. Otherwise its place in the order of arrival in the round, from 1.
        base_version: that it started from; None: the round's.
        weight: by how much its samples or its change were multiplied for its staleness; None: 1.
        norm: the Euclidean norm of its change, over all weights.
        outlier: why it stands out from the others, in a sentence; None: it does not.
    """

    __tablename__ = "updates"
    #: An update that is sent again is looked for among all there ever were.
    __table_args__ = (Index("updates_sent", "device", "sha256"),)

    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"), primary_key=True)
    device: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, default=0, server_default="0"
    )
    sha256: Mapped[str]
    num_samples: Mapped[int]
    metrics: Mapped[dict[str, float]]
    bytes: Mapped[int]
    received: Mapped[float]
    base_version: Mapped[int | None]
    weight: Mapped[float | None]
    norm: Mapped[float | None]
    outlier: Mapped[str | None]


class Evaluation(Tables):
    """How well one version did on one device's own test pictures.

    See :class:`~shared.federated.evaluation.DeviceEvaluation`. ``confusion``: None where the device
    told none.
    """

    __tablename__ = "evaluations"

    task: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    device: Mapped[str] = mapped_column(primary_key=True)
    accuracy: Mapped[float]
    loss: Mapped[float]
    num_samples: Mapped[int]
    personal_accuracy: Mapped[float | None]
    personal_loss: Mapped[float | None]
    confusion: Mapped[list[list[int]] | None] = mapped_column(_JSON_OR_NULL)


class DeviceStep(Tables):
    """How one step of one round went on one device, the last time it was taken there.

    Attributes:
        round: its number; 0 for a version that goes out and is no round's.
        step: such as ``modeltrain``.
        device: empty for what the main server does itself: ``aggregate_models``.
        state: running, done or failed.
        job: the job it belongs to; when that has ended, nothing of it runs any more.
        attempts: how often it was begun.
        result: what is shown of a good answer, see :mod:`main_server.step_results`.
        problem: why it failed: type, title and detail.
    """

    __tablename__ = "device_steps"

    task: Mapped[str] = mapped_column(primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    step: Mapped[str] = mapped_column(primary_key=True)
    device: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    job: Mapped[str | None]
    started: Mapped[float]
    finished: Mapped[float | None]
    attempts: Mapped[int]
    result: Mapped[dict[str, Any] | None] = mapped_column(_JSON_OR_NULL)
    problem: Mapped[dict[str, Any] | None] = mapped_column(_JSON_OR_NULL)

    __table_args__ = (
        Index("device_steps_done", "task", "step", "device", "state", "round"),
        _of_some("device_steps_failed", "state = 'failed'", "task", "device", "started"),
        _of_some("device_steps_running", "state = 'running'", "task"),
    )
