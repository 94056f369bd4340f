import io
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from al_assets.pictures import (
    THEME,
    Form,
    agreement_matrix,
    beside_each_other,
    curation_yield,
    kappa_history,
    loss_curve,
    region_map,
    reliability_diagram,
    score_histogram,
)

Draw = Callable[[], bytes]
DrawAs = Callable[[Form], bytes]
NAN = float("nan")
MARKUP = "<b>$x_1$ &"
SCORES = np.random.default_rng(0).random(500)


def regions(count: int) -> pl.DataFrame:
    number = np.arange(count)
    return pl.DataFrame(
        {"name": [f"{each}: {MARKUP}, 猫" for each in number], "items": 10 + 3 * number, "x": np.cos(number),
         "y": np.sin(number), "positive_share": number / (count + 1), "error": number / (2 * count + 1)}
    )  # fmt: skip


PICTURES: dict[str, Draw] = {
    "histogram": lambda: score_histogram(SCORES, 0.8),
    "histogram of one value": lambda: score_histogram(np.zeros(5), 0.0),
    "regions": lambda: region_map(regions(30)),
    "one region": lambda: region_map(regions(1)),
    "regions in one place": lambda: region_map(regions(5).with_columns(x=0.0, y=0.0)),
    "regions of a million": lambda: region_map(regions(9).with_columns(items=pl.col("items") * 3_000)),
    "no region": lambda: region_map(regions(0)),
    "losses": lambda: loss_curve([1, 2, 3], [0.7, 0.5, 0.4]),
    "one loss": lambda: loss_curve([1], [0.7]),
    "reliability": lambda: reliability_diagram([0.1, 0.4], [0.2, 0.3], [20, 25], intervals=[(0.1, 0.4), (0.2, 0.5)]),
    "history": lambda: kappa_history(
        ["0000", "0001"],
        {
            "audit": ([None, (0.3, 0.1, 0.5)], [(0.8, 0.7, 0.9), None]),
            "boundary": ([(0.2, -0.1, 0.4), None], [None] * 2),
        },
    ),
    "history without a figure": lambda: kappa_history(["0000"], {"audit": ([None], [None])}),
}
THEMED: dict[str, DrawAs] = {
    "history": lambda form: kappa_history(
        ["0000", "0001"], {"audit": ([None, (0.3, 0.1, 0.5)], [(0.8, 0.7, 0.9), None])}, form=form
    ),
    "beside": lambda form: beside_each_other(
        {MARKUP: [(0.4, 0.2, 0.6), (0.5, NAN, NAN)], "other": [None, (-0.1, -0.3, 0.1)]}, ("one", "two"), form=form
    ),
    "matrix": lambda form: agreement_matrix(
        [MARKUP, "b", "c"],
        [[1, 0.5, NAN], [0.5, 1, -0.3], [NAN, -0.3, 1]],
        [[9, 9, 0], [9, 9, 4], [0, 4, 9]],
        form=form,
    ),
    "yield": lambda form: curation_yield(["0000", "0001"], {"pool": [0.1, None], "queue": [0.4, 0.3]}, form=form),
    "reliability": lambda form: reliability_diagram(
        [0.1, 0.6], [0.15, 0.5], [20, 30], intervals=[(0.1, 0.3), (0.3, 0.8)], form=form
    ),
}
NOTHING: dict[str, DrawAs] = {
    "beside": lambda form: beside_each_other({}, (), form=form),
    "matrix": lambda form: agreement_matrix(["a"], [[NAN]], [[0]], form=form),
    "yield": lambda form: curation_yield(["0000"], {}, form=form),
    "reliability": lambda form: reliability_diagram([], [], [], form=form),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_a_png_with_something_on_it(name: str) -> None:
    from matplotlib.image import imread

    png = PICTURES[name]()
    assert png.startswith(b"\x89PNG")
    pixels = imread(io.BytesIO(png))[:, :, :3]
    assert min(pixels.shape[:2]) > 200
    assert 0.001 < (pixels.min(axis=2) < 0.9).mean() < 0.6


def test_the_same_numbers_give_the_same_bytes() -> None:
    draw = PICTURES["history"]
    assert draw() == draw()


def test_another_threshold_is_another_picture() -> None:
    assert score_histogram(SCORES, 0.2) != score_histogram(SCORES, 0.8)


def test_drawing_leaves_no_figure_behind() -> None:
    import matplotlib.pyplot as plt

    PICTURES["losses"]()
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", THEMED)
def test_a_picture_can_be_svg_whose_colours_the_page_decides(name: str) -> None:
    svg = THEMED[name]("svg")
    assert svg == THEMED[name]("svg")
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    text = svg.decode()
    assert not [colour for colour in THEME if f": {colour}" in text]
    # The matrix is text alone, whose colour the page sets as a whole.
    assert ("currentColor" in text) == (name != "matrix")
    assert THEMED[name]("png").startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["beside", "matrix"])
def test_names_are_text_in_an_svg_and_never_markup_or_mathematics(name: str) -> None:
    root = ElementTree.fromstring(THEMED[name]("svg"))
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert MARKUP in texts


def test_the_matrix_shows_each_kappa_with_its_items_and_says_what_is_undefined() -> None:
    root = ElementTree.fromstring(THEMED["matrix"]("svg"))
    texts = [element.text for element in root.iter() if element.tag.endswith(("text", "tspan")) and element.text]
    assert [texts.count(each) for each in ("0.50", "9 items", "-0.30", "4 items", "undefined", "0 items", "1.00")] == [
        2, 2, 2, 2, 2, 2, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("name", NOTHING)
def test_a_picture_of_nothing_is_drawn_all_the_same(name: str) -> None:
    assert ElementTree.fromstring(NOTHING[name]("svg")).tag.endswith("svg")
