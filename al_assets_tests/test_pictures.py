import io
from collections.abc import Callable

import numpy as np
import pytest

from al_assets.pictures import kappa_history, loss_curve, overlap_picture, score_histogram

Draw = Callable[[], bytes]
SCORES = np.random.default_rng(0).random(500)

PICTURES: dict[str, Draw] = {
    "histogram": lambda: score_histogram(SCORES, 0.8),
    "histogram of one value": lambda: score_histogram(np.zeros(5), 0.0),
    "overlaps": lambda: overlap_picture([0.1, 0.5], [0.2, 0.9], [12, 3], [0.4, 1.0], ["+0 / -1", "+1 / -1"]),
    "no overlap": lambda: overlap_picture([], [], [], [], []),
    "losses": lambda: loss_curve([1, 2, 3], [0.7, 0.5, 0.4]),
    "one loss": lambda: loss_curve([1], [0.7]),
    "history": lambda: kappa_history(
        ["0000", "0001"],
        {"audit": [None, (0.3, 0.1, 0.5)], "boundary": [(0.2, -0.1, 0.4), None]},
        [(0.8, 0.7, 0.9), None],
    ),
    "history without a figure": lambda: kappa_history(["0000"], {"audit": [None]}, [None]),
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
