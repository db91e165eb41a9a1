"""How every benchmark tells its result: where it ran, and a JSON file beside the others."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
TEST_DATA = Path(os.environ.get("FEDBELL_TEST_DATA", "../shared/assets"))

_PACKAGES = ("keras", "numpy", "scikit-learn")


def save(name: str, command: str, result: dict[str, Any]) -> Path:
    """Write ``benchmarks/results/<name>.json``: the command, the machine, and the result."""
    machine = {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in _PACKAGES},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {"command": command, "machine": machine} | result
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
