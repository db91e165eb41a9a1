"""What a client is told on the command line."""

import ssl
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from shared.device.settings import Address
from shared.errors import ConfigurationError
from shared.federated.names import Name
from shared.web.access.tls import check_is_tls, client_context
from shared.web.settings import explain

#: What options are called where they have another name than the setting.
_OPTIONS = {"main_server_url": "server", "updates": "rounds"}


class ClientSettings(BaseModel):
    """Settings of one client; relative paths start from the current directory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: What the federation calls it.
    id: Name
    main_server_url: Address
    task: Name
    #: The first and the last chunk of the training set that are its own, from 1.
    shards: tuple[int, int]
    #: MNIST's four files, or ``{train,test}/<class>/``.
    data: Path
    #: Samples in a chunk; the last one may have fewer.
    chunk_size: int = Field(default=5000, ge=1)
    #: Where it keeps what has to outlive its process; None: state/clients/<id>.
    state: Path | None = None
    #: Epochs of each training; None: as the task says.
    epochs: int | None = Field(default=None, ge=1, le=1000)
    #: Tries of one call, and the longest pause between two of them.
    max_retries: int = Field(default=5, ge=1, le=1000)
    max_wait_seconds: float = Field(default=60, gt=0, le=24 * 3600)
    #: It ends when so many updates were acknowledged; None: when it is stopped.
    updates: int | None = Field(default=None, ge=1)
    #: What a new client must know, where the main server asks for it.
    join_token: str = Field(default="", repr=False)
    #: Who signed the main server's certificate, and what is shown to it over mutual TLS (PEM).
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    #: A person's own weight files, for tasks that name one.
    backbone_directory: Path = Path("backbones")

    #: Of each attempt; loop and calls of the client do the trying again.
    connect_seconds: float = Field(default=5, gt=0)
    answer_seconds: float = Field(default=30, gt=0)
    attempts: int = 1
    retry_seconds: float = 0
    #: The largest global model that is taken.
    most_model_bytes: int = Field(default=512 * 1024**2, gt=0)

    @classmethod
    def check(cls, **values: Any) -> Self:
        """Settings of these values. Raises ConfigurationError, a sentence that names the option."""
        try:
            return cls(**values)
        except ValidationError as error:
            told = explain(error, cls.model_fields)
            name, _, what = told.partition(": ")
            option = _OPTIONS.get(name, name.replace("_", "-"))
            raise ConfigurationError(f"--{option}: {what}") from error

    @field_validator("shards")
    @classmethod
    def _count_from_one(cls, shards: tuple[int, int]) -> tuple[int, int]:
        """What can be said before the data are looked at, and the main server is asked."""
        first, last = shards
        if first < 1:
            raise ValueError(f"there is no chunk {first}; chunks are counted from 1")
        if first > last:
            raise ValueError(f"the first chunk, {first}, comes after the last one, {last}")
        return shards

    @property
    def state_directory(self) -> Path:
        """Where it keeps its state."""
        return self.state or Path("state") / "clients" / self.id

    def chunk_at(self, position: int) -> int:
        """The chunk of a position that was kept; the first one where that is no chunk of its."""
        first, last = self.shards
        return position if first <= position <= last else first

    def tls(self) -> ssl.SSLContext | None:
        """How the main server is called over TLS. Raises ConfigurationError."""
        for name in ("authority", "certificate", "key"):
            if getattr(self, name):
                check_is_tls(self.main_server_url, f"--{name}")
        return client_context(self.authority, self.certificate, self.key)

    def join_secret(self) -> str:
        """The join token; empty without one."""
        return self.join_token
