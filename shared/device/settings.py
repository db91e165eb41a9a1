"""What a device can be told: device.toml, and environment variables that win over it."""

import ssl
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from shared.federated.task import Name
from shared.web.access.tls import client_context
from shared.web.settings import ServerSettings


def _address(value: str) -> str:
    """An http(s) address of a server, without a slash at its end."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
        raise ValueError(f"{value!r} is no address such as http://localhost:8000")
    if "_" in parts.hostname:
        raise ValueError(f"{parts.hostname!r} holds an underscore, which no host name may")
    return value.rstrip("/")


Address = Annotated[str, AfterValidator(_address)]


class DeviceSettings(ServerSettings):
    """Settings of a device; relative paths start from the current directory."""

    device_name: Name
    #: Where the main server reaches this device.
    device_url: Address
    #: Where a person's browser reaches its page, when that is another address.
    page_url: Address | None = None
    main_server_url: Address
    #: Where a person's browser reaches the main server, when that is another address.
    main_server_page_url: Address | None = None
    #: The authority that signed the main server's certificate (PEM), when it is one's own.
    main_server_authority: Path | None = None
    #: Holds ``<task>/{train,valid,test}/<class>/``.
    dataset_directory: Path
    #: Looked into for tasks that dataset_directory does not hold.
    builtin_dataset_directory: Path | None = None
    #: Where a person puts weight files that tasks name as their backbone.
    backbone_directory: Path = Path("backbones")
    #: How much disk the features of pictures may take.
    feature_store_bytes: int = Field(default=2 * 1024**3, gt=0)
    #: Threads TensorFlow computes with; default: half of the processors of this machine.
    #: Processors that training may use; None: all, after whoever else wants them.
    trainer_threads: int | None = Field(default=None, ge=1)
    #: What people may upload: bytes and pixels of one picture; pictures and bytes of one call.
    most_picture_bytes: int = Field(default=20 * 1024**2, gt=0, le=200 * 1024**2)
    most_picture_pixels: int = Field(default=50_000_000, gt=0, le=100_000_000)
    most_upload_pictures: int = Field(default=1000, ge=1, le=100_000)
    most_upload_bytes: int = Field(default=512 * 1024**2, gt=0)
    #: How much disk all uploaded pictures may take, and what they leave free.
    picture_store_bytes: int = Field(default=5 * 1024**3, gt=0)
    least_free_bytes: int = Field(default=100 * 1024**2, ge=0)
    #: Train on upload, unless somebody switched it; for so many epochs; so long after the last.
    auto_train: bool = False
    auto_train_epochs: int = Field(default=3, ge=1, le=1000)
    auto_train_quiet_seconds: float = Field(default=2, ge=0, le=3600)
    #: The largest global model that is taken.
    most_model_bytes: int = Field(default=512 * 1024**2, gt=0)
    #: How long the main server may take to be connected, and to send or take the next bytes.
    connect_seconds: float = Field(default=3, gt=0)
    answer_seconds: float = Field(default=30, gt=0)
    #: How often a call is tried when the connection fails, and the longest first pause.
    attempts: int = Field(default=3, ge=1, le=20)
    retry_seconds: float = Field(default=0.3, ge=0, le=60)

    @model_validator(mode="before")
    @classmethod
    def _state_is_named_after_the_device(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {"state_directory": Path("state") / str(values.get("device_name"))} | values

    @property
    def hosts(self) -> list[str]:
        """All host names this server answers for: its own address too."""
        return [*super().hosts, urlsplit(self.device_url).hostname or ""]

    @property
    def limits(self) -> dict[str, int]:
        """What whoever uploads pictures has to know, by the settings' names."""
        return {
            "most_picture_bytes": self.most_picture_bytes,
            "most_picture_pixels": self.most_picture_pixels,
            "most_upload_pictures": self.most_upload_pictures,
            "most_upload_bytes": self.most_upload_bytes,
            "picture_store_bytes": self.picture_store_bytes,
        }

    def tls(self) -> ssl.SSLContext | None:
        """How the main server is called over TLS; None: as any other server is.

        Raises:
            ConfigurationError: a file cannot be used.
        """
        return client_context(
            self.main_server_authority, self.tls_client_certificate, self.tls_client_key
        )

    def pictures(self, task: str) -> Path:
        """The folder of a task's splits, which need not exist."""
        own = self.dataset_directory / task
        if self.builtin_dataset_directory and not own.is_dir():
            builtin = self.builtin_dataset_directory / task
            return builtin if builtin.is_dir() else own
        return own
