"""Options that several commands have: where the main server is, and who signed its certificate."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from shared.errors import ConfigurationError
from shared.web.access.tls import check_is_tls
from shared.web.addresses import check_address

_Command = TypeVar("_Command", bound=Callable[..., Any])


def check_tls_options(server: str, **options: Path | None) -> None:
    """Refuse options for TLS where the main server's address is without: see check_is_tls.

    Args:
        options: by parameter of the current command.

    Raises:
        ConfigurationError: names the option, or the variable that stands for it.
    """
    context = click.get_current_context()
    parameters = {each.name: each for each in context.command.params}
    for name, value in options.items():
        if value is not None:
            check_is_tls(server, _told_by(context, parameters[name]))


def _told_by(context: click.Context, option: click.Parameter) -> str:
    """Where an option's value comes from, as people know it."""
    source = context.get_parameter_source(option.name or "")
    return str(option.envvar if source is ParameterSource.ENVIRONMENT else option.opts[0])


def _checked(context: click.Context, option: click.Parameter, value: str) -> str:
    """The address. Raises ConfigurationError, which names what told it."""
    try:
        return check_address(value)
    except ValueError as error:
        raise ConfigurationError(f"{_told_by(context, option)}: {error}.") from error


def server_option(command: _Command) -> _Command:
    """``--server``: the main server's address, checked."""
    return click.option(
        "--server",
        default="http://127.0.0.1:8000",
        show_default=True,
        envvar="MAIN_SERVER_URL",
        show_envvar=True,
        callback=_checked,
        help="The main server.",
    )(command)


def authority_option(command: _Command) -> _Command:
    """``--authority``: who signed the main server's certificate."""
    return click.option(
        "--authority",
        type=click.Path(path_type=Path),
        envvar="MAIN_SERVER_AUTHORITY",
        show_envvar=True,
        help="Who signed the main server's certificate (PEM), if one's own.",
    )(command)
