"""What a process that trains loads, and what not."""

import re
import subprocess
import sys

from tests.server import ROOT

_LOADS = """
import sys
import shared.learning.{module}
assert "tensorflow" in sys.modules and "keras" in sys.modules
print(sorted({{"matplotlib", "sklearn"}} & sys.modules.keys()))
import matplotlib.figure, sklearn.datasets, keras
print(matplotlib.figure.Figure.__name__, len(sklearn.datasets.load_digits().target))
"""


def _run(module: str) -> list[str]:
    command = [sys.executable, "-c", _LOADS.format(module=module)]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=120, check=True
    )
    return done.stdout.splitlines()


def test_keras_comes_without_what_it_only_offers_to_work_with() -> None:
    """And both can be imported afterwards: curves are drawn, the built-in pictures read."""
    assert _run("direct") == ["[]", "Figure 1797"]


def test_nothing_of_this_package_loads_them_past_it() -> None:
    direct = re.compile(r"^\s*(import|from) (keras|tensorflow)\b", re.MULTILINE)
    sources = (ROOT / "shared").rglob("*.py")
    assert [file.name for file in sources if direct.search(file.read_text())] == ["loading.py"]
