"""The ``fedbell`` command: start the servers, prepare pictures."""

from shared.command_line.commands import main

__all__ = ["main"]
