"""What Gunicorn serves: a device as any other, but for the module its trainer runs."""

from pathlib import Path

from shared.device.app import build

app = build(Path(__file__).with_name("device.toml"), "benchmarks.idle_device.trainer")
