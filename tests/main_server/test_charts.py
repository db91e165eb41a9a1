"""Plots of rounds: where points lie and what stands at the axes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from main_server.pages.charts import HEIGHT, MOST_POINTS, WIDTH, plot, thinned

FRACTIONS = st.floats(0, 1)


@given(st.integers(0, 3000))
def test_few_points_of_many_rounds_and_the_newest_always(rounds: int) -> None:
    numbers = list(range(1, rounds + 1))
    drawn, every = thinned(numbers)
    assert len(drawn) <= MOST_POINTS
    assert drawn == numbers[::-1][::every][::-1]
    assert drawn[-1:] == numbers[-1:]


@given(st.dictionaries(st.integers(1, 500), FRACTIONS, min_size=2), FRACTIONS)
def test_all_points_lie_in_the_plot(main: dict[int, float], device: float) -> None:
    drawn = plot("accuracy", main, {"device1": dict.fromkeys(main, device)}, str, most=1.0)
    assert drawn is not None
    assert len(drawn.dots) == len(main)
    assert all(0 <= dot.x <= WIDTH and 0 <= dot.y <= HEIGHT for dot in drawn.dots)
    top, *_, bottom = map(float, drawn.labels)
    assert bottom <= min(*main.values(), device) + 1e-9
    assert max(*main.values(), device) - 1e-9 <= top <= 1 + 1e-9


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=20))
def test_labels_are_evenly_spaced_round_numbers(losses: list[float]) -> None:
    drawn = plot("loss", dict(enumerate(losses)), {}, lambda value: f"{value:.6g}")
    assert drawn is not None
    labels = [float(label) for label in drawn.labels]
    steps = {round((above - below) / max(1e-3, labels[0]), 6) for above, below in pairwise(labels)}
    assert max(steps) - min(steps) < 1e-3
    assert all(step > 0 for step in steps)


def test_lines_go_through_their_points() -> None:
    drawn = plot("accuracy", {1: 0.0, 3: 1.0}, {"b": {3: 0.5}, "a": {}}, "{:.2f}".format, most=1.0)
    assert drawn is not None
    assert drawn.main.path == "M0 100L1000 0"
    assert [(line.name, line.path) for line in drawn.lines] == [("b", "M1000 50")]
    assert drawn.labels == ["1.00", "0.75", "0.50", "0.25", "0.00"]
    assert [dot.words for dot in drawn.dots] == ["round 1: 0.00", "round 3: 1.00"]
    assert (drawn.first, drawn.last) == (1, 3)


def test_one_round_is_no_line_and_no_plot() -> None:
    assert plot("accuracy", {}, {"device1": {}}, str) is None
    assert plot("accuracy", {1: 0.5}, {"device1": {1: 0.5}}, str) is None
