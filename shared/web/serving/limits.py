"""How slow a client may be; set by environment, as all of Gunicorn's settings here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from shared.errors import ConfigurationError


@dataclass(frozen=True)
class Limits:
    """How long, and for how much, a server waits for its clients.

    Attributes:
        arrival_seconds: until a call is here: its head, and its body or the first 64 KiB of it.
            No thread waits meanwhile.
        patience_seconds: how long a thread waits for the next bytes of a larger body, or until a
            client takes more of its answer; and for all of them together, besides what
            ``least_bytes_per_second`` adds.
        least_bytes_per_second: each so many bytes that a client sends or takes give it one
            second more.
    """

    arrival_seconds: float = 30.0
    patience_seconds: float = 30.0
    least_bytes_per_second: float = 1024.0

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """From environment variables of the fields' names in capitals.

        Raises:
            ConfigurationError: a value is no number above zero.
        """
        told: dict[str, float] = {}
        for field in fields(cls):
            name = field.name.upper()
            if name not in environment:
                continue
            try:
                told[field.name] = float(environment[name])
            except ValueError:
                told[field.name] = 0.0
            if not told[field.name] > 0:
                raise ConfigurationError(f"{name}: {environment[name]!r} is no number above zero.")
        return cls(**told)
