"""Figures are well-formed, and show what they were given."""

import sys
from subprocess import run
from xml.etree import ElementTree as Xml

from shared.learning.plots import training_curves

HISTORY = {"loss": [2.0, 1.0], "accuracy": [0.5, 0.75]}


def test_the_figure_is_svg() -> None:
    root = Xml.fromstring(training_curves(HISTORY, "digits <on> device1, $5 & more"))  # noqa: S314
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_validation_adds_a_curve_to_each_panel() -> None:
    without = training_curves(HISTORY, "digits")
    validated = HISTORY | {"val_loss": [2.1, 1.2], "val_accuracy": [0.4, 0.7]}
    curves = training_curves(validated, "digits")
    assert curves.count(b"<!-- validation -->") == 2
    assert without.count(b"<!-- validation -->") == 0


def test_a_training_that_has_not_begun_has_a_figure() -> None:
    assert training_curves({}, "digits").startswith(b"<?xml")


def test_figures_and_features_need_neither_tensorflow_nor_pyplot() -> None:
    program = (
        "import sys, shared.learning.plots as p, shared.learning.features;"
        "p.training_curves({'loss': [1.0], 'accuracy': [0.5]}, 'digits');"
        "sys.exit(bool({'tensorflow', 'keras', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    assert run([sys.executable, "-c", program], timeout=60).returncode == 0
