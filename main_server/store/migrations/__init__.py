"""The migrations of the main server's store: docs/store.md tells how to write one."""

from pathlib import Path

CHAIN = Path(__file__).parent
