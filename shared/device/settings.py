"""What a device can be told: device.toml, and environment variables that win over it."""

import ssl
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from shared.device.schedule import Kind, Schedule, Window
from shared.federated.names import Name
from shared.web.access.tls import check_is_tls, client_context
from shared.web.addresses import check_address
from shared.web.settings import ServerSettings

Address = Annotated[str, AfterValidator(check_address)]


class DeviceSettings(ServerSettings):
    """Settings of a device; relative paths start from the current directory."""

    device_name: Name
    #: When it trains and sends by itself: never, always, so many seconds after the last training,
    #: or in a daily window such as "22:00-06:00" by this machine's clock.
    schedule: Kind = "manual"
    schedule_interval_seconds: float | None = Field(
        default=None, gt=0, le=366 * 24 * 3600, validate_default=True
    )
    schedule_window: str | None = Field(default=None, validate_default=True)
    #: Of which tasks; empty: all.
    schedule_tasks: tuple[Name, ...] = ()
    #: Where the main server reaches this device; empty: nowhere, it comes by itself.
    device_url: Address | None = Field(default=None, validate_default=True)
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

    @field_validator("device_url", mode="before")
    @classmethod
    def _is_given_where_people_say_when(cls, value: Any, before: ValidationInfo) -> Any:
        if not value and before.data.get("schedule") == "manual":
            raise ValueError(
                "it is missing: where the main server reaches this device. Only a device with a "
                'schedule, "continuous" say, does without'
            )
        return value or None

    @field_validator("schedule_interval_seconds", "schedule_window")
    @classmethod
    def _goes_with_its_schedule(cls, value: Any, before: ValidationInfo) -> Any:
        kind = "daily" if before.field_name == "schedule_window" else "interval"
        if (before.data.get("schedule") == kind) != (value is not None):
            raise ValueError(f'it goes with schedule = "{kind}", and only with that')
        if isinstance(value, str):
            Window.parse(value)
        return value

    @property
    def schedule_rule(self) -> Schedule:
        """When it trains by itself."""
        window = Window.parse(self.schedule_window) if self.schedule_window else None
        return Schedule(self.schedule, self.schedule_interval_seconds or 0, window)

    @model_validator(mode="before")
    @classmethod
    def _state_is_named_after_the_device(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {"state_directory": Path("state") / str(values.get("device_name"))} | values

    @property
    def hosts(self) -> list[str]:
        """All host names this server answers for: its own address too."""
        own = urlsplit(self.device_url).hostname if self.device_url else None
        return [*super().hosts, *([own] if own else [])]

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
        if self.main_server_authority:
            check_is_tls(self.main_server_url, "MAIN_SERVER_AUTHORITY")
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
