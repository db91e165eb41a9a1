"""Settings: a TOML file, read once and validated; environment variables win over it."""

import difflib
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from shared.errors import ConfigurationError

#: A token that people type in can be guessed; one this long and random cannot.
_SHORTEST_TOKEN = 16


class PeopleTokens(NamedTuple):
    """What people log in with. Empty: nobody has to, or there is no viewer."""

    admin: str
    viewer: str


class ServerSettings(BaseSettings):
    """What both kinds of server can be told.

    Every field can also be set by an environment variable of its name in capitals.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    #: Where the store and the files live.
    state_directory: Path
    #: Host names, separated by spaces, that this server answers for besides localhost.
    trusted_hosts: str = ""
    #: How many events the log keeps at least, the newest ones.
    keep_events: int = Field(default=100_000, ge=1000)
    #: What a device must know to be enrolled; empty: enrolment is open.
    join_token: str = Field(default="", repr=False)
    #: A file that holds join_token instead, for container secrets.
    join_token_file: Path | None = None
    #: What people log in with to change things; empty: whoever reaches this server may do all.
    admin_token: str = Field(default="", repr=False)
    admin_token_file: Path | None = None
    #: What people log in with who may only look.
    viewer_token: str = Field(default="", repr=False)
    viewer_token_file: Path | None = None
    #: What signs session cookies; default: made at the first start, kept in state_directory.
    secret_key: str = Field(default="", repr=False)
    secret_key_file: Path | None = None
    #: What this server shows of itself where it calls another one over mutual TLS.
    tls_client_certificate: Path | None = None
    tls_client_key: Path | None = None

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
        return self.secret("join_token")

    def people_tokens(self) -> PeopleTokens:
        """What people log in with.

        Raises:
            ConfigurationError: a token is too short to be safe, both are the same, a file that
                should hold one cannot be read, or there is one for viewers alone.
        """
        tokens = PeopleTokens(self.secret("admin_token"), self.secret("viewer_token"))
        for name, token in zip(("ADMIN_TOKEN", "VIEWER_TOKEN"), tokens, strict=True):
            check_length(name, token)
        if tokens.viewer and not tokens.admin:
            raise ConfigurationError(
                "VIEWER_TOKEN is set and ADMIN_TOKEN is not: everybody could change everything."
            )
        if tokens.viewer and tokens.viewer == tokens.admin:
            raise ConfigurationError("VIEWER_TOKEN and ADMIN_TOKEN are the same.")
        return tokens

    def secret(self, name: str) -> str:
        """The setting ``name``, or what the file that ``name``_file names holds; may be empty.

        White space around it does not count: nobody sees it in an .env file.

        Raises:
            ConfigurationError: that file cannot be read, or is empty.
        """
        file: Path | None = getattr(self, f"{name}_file")
        if file is None:
            return str(getattr(self, name)).strip()
        variable = f"{name.upper()}_FILE"
        try:
            told = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{variable}: {error}.") from error
        if not told:
            raise ConfigurationError(f"{variable}: {file} is empty.")
        return told


def check_length(name: str, token: str) -> None:
    """Raise ConfigurationError for a token, of the setting ``name``, that could be guessed."""
    if token and len(token) < _SHORTEST_TOKEN:
        raise ConfigurationError(
            f"{name} has fewer than {_SHORTEST_TOKEN} characters. Make a good one: "
            "openssl rand -hex 24."
        )


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
    return f"{name}: {first['msg'].removeprefix('Value error, ')}."


def read_toml(file: Path) -> dict[str, Any]:
    """A TOML file's content. Raises ConfigurationError, naming file and line."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{file}: {error}.") from error
