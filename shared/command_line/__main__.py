"""``python -m shared.command_line`` is ``fedbell``."""

from shared.command_line.commands import main

main(prog_name="fedbell")
