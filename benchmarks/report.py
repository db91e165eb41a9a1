"""How every benchmark is called and tells its result.

A benchmark is ``python -m benchmarks.NAME [--quick] [--results FOLDER]``: it prints what it
does, and writes NAME.json, with the machine, the versions and the command, into the folder.
``--quick`` does the same with less of everything: it shows that the benchmark works, and its
numbers are nothing to quote.
"""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

RESULTS = Path(__file__).parent / "results"
TEST_DATA = Path(os.environ.get("FEDBELL_TEST_DATA", "../shared/assets"))

_PACKAGES = ("gunicorn", "keras", "numpy", "opencv-python-headless", "scikit-learn")


@dataclass(frozen=True)
class Claim:
    """One row of the table of goals.

    Attributes:
        what: is measured.
        against: what it is measured against, in the same run; empty: an absolute figure.
        ours: the figure, in ``unit``.
        theirs: the same of ``against``.
        unit: s, MB, kB, MB/s, pictures/s, share …
        goal: of the ratio where there is one, else of ``ours``.
        better: whether less of the unit is better, or more.
        limit: which way the goal goes: at least so much, or at most.
    """

    what: str
    against: str
    ours: float
    theirs: float | None
    unit: str
    goal: float | None
    better: Literal["less", "more"] = "less"
    limit: Literal["at least", "at most"] = "at least"

    @property
    def ratio(self) -> float | None:
        """How many times better ours is; None where there is nothing to compare with."""
        if self.theirs is None:
            return None
        return self.theirs / self.ours if self.better == "less" else self.ours / self.theirs

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None: there is none."""
        if self.goal is None:
            return None
        figure = self.ours if self.ratio is None else self.ratio
        return figure >= self.goal if self.limit == "at least" else figure <= self.goal

    def as_json(self) -> dict[str, Any]:
        """Ready for JSON, with the ratio and whether the goal is reached."""
        return asdict(self) | {"ratio": self.ratio, "reached": self.reached}


@dataclass(frozen=True)
class Run:
    """How a benchmark was called."""

    name: str
    quick: bool
    results: Path

    def save(self, result: dict[str, Any], claims: Sequence[Claim] = ()) -> Path:
        """Print the claims and write ``<name>.json``: the command, the machine, the result.

        A quick run has no goals.
        """
        if self.quick:
            claims = [replace(claim, goal=None) for claim in claims]
        command = f"python -m benchmarks.{self.name}{' --quick' if self.quick else ''}"
        document = {
            "command": command,
            "machine": machine(),
            **({"claims": [claim.as_json() for claim in claims]} if claims else {}),
            **result,
        }
        self.results.mkdir(parents=True, exist_ok=True)
        path = self.results / f"{self.name}.json"
        path.write_text(json.dumps(document, indent=2) + "\n")
        for claim in claims:
            ratio = "" if claim.ratio is None else f" = {claim.ratio:.3g} x ({claim.theirs:.4g})"
            print(f"{claim.what}: {claim.ours:.4g} {claim.unit}{ratio}")
        print(path)
        return path


def begin(name: str, description: str) -> Run:
    """Read the command line of a benchmark."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}", description=description.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of NAME.json")
    arguments = parser.parse_args()
    return Run(name, arguments.quick, arguments.results)


def machine() -> dict[str, Any]:
    """Where a benchmark ran, without anything that names the machine."""
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in _PACKAGES},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
