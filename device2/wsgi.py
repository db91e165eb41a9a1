from pathlib import Path

from shared.device import create_app

app = create_app(Path(__file__).with_name("device.toml"))
