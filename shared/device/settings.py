"""What a device can be told: device.toml, and environment variables that win over it."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from shared.federated.task import Name
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

    def pictures(self, task: str) -> Path:
        """The folder of a task's splits, which need not exist."""
        own = self.dataset_directory / task
        if self.builtin_dataset_directory and not own.is_dir():
            builtin = self.builtin_dataset_directory / task
            return builtin if builtin.is_dir() else own
        return own
