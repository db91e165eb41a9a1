"""Settings: a TOML file, read once and validated; environment variables win over it."""

import difflib
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from shared.errors import ConfigurationError


class ServerSettings(BaseSettings):
    """What both kinds of server can be told.

    Every field can also be set by an environment variable of its name in capitals.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    #: Where the store and the files live.
    state_directory: Path
    #: Host names, separated by spaces, that this server answers for besides localhost.
    trusted_hosts: str = ""
    #: What a device must know to be enrolled; empty: enrolment is open.
    join_token: str = Field(default="", repr=False)
    #: A file that holds join_token instead, for container secrets.
    join_token_file: Path | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then what the file says."""
        return env_settings, init_settings

    @classmethod
    def load(cls, file: Path | None = None, **defaults: Any) -> Self:
        """Settings from the environment, then ``file``, then ``defaults``.

        Raises:
            ConfigurationError: an unknown key or a bad value; one line that names it.
        """
        try:
            return cls(**(defaults | (read_toml(file) if file else {})))
        except ValidationError as error:
            told = explain(error, cls.model_fields)
            raise ConfigurationError(f"{file or 'settings'}: {told}") from error

    @property
    def hosts(self) -> list[str]:
        """All host names this server answers for."""
        return ["localhost", "127.0.0.1", *self.trusted_hosts.split()]

    def join_secret(self) -> str:
        """The join token, wherever it was set; empty when enrolment is open.

        Raises:
            ConfigurationError: the file that should hold it cannot be read, or is empty.
        """
        if self.join_token_file is None:
            return self.join_token
        try:
            token = self.join_token_file.read_text().strip()
        except OSError as error:
            raise ConfigurationError(f"JOIN_TOKEN_FILE: {error}.") from error
        if not token:
            raise ConfigurationError(f"JOIN_TOKEN_FILE: {self.join_token_file} is empty.")
        return token


def explain(error: ValidationError, known: Collection[str]) -> str:
    """The first thing that is wrong, in a sentence that names the key.

    Args:
        known: the keys there are, to guess what a mistyped one was meant to be.
    """
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        guesses = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        meant = f"; did you mean {guesses[0]}?" if guesses else "."
        return f"there is no key {name}{meant}"
    return f"{name}: {first['msg']}."


def read_toml(file: Path) -> dict[str, Any]:
    """A TOML file's content. Raises ConfigurationError, naming file and line."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{file}: {error}.") from error
