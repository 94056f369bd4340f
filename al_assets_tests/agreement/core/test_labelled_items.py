from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from al_assets.agreement.core.labelled_items import labelled_items
from al_assets.agreement.report.scopes import scope_masks


def _frames() -> dict[str, pl.DataFrame]:
    rows = [
        ("b", "zoe", "positive", "0001", "boundary", "pair", None, None, None),
        ("b", "ann", "undecided", "0001", "boundary", "pair", None, None, None),
        ("a", "ann", "negative", "0000", "audit", "a", "low", 50, 0.1),
        ("a", "zoe", "positive", "0000", "audit", "a", "low", 50, 0.1),
        ("c", "ann", "positive", "0001", "control", "c", None, None, None),
    ]
    columns = [
        "item_id", "rater", "label", "iteration", "reason", "group_id", "stratum", "stratum_size",
        "inclusion_probability",
    ]  # fmt: skip
    return {
        "votes": pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None),
        "split": pl.DataFrame(
            {
                "item_id": ["a", "b", "d"],
                "split": ["panel", "fine-tuning", "evaluation"],
                "reason": ["audit", "promising", "control"],
                "iteration": ["0000", "0001", "0001"],
            }
        ),
        "scores": pl.DataFrame(
            {
                "item_id": ["a", "a", "x"],
                "role": ["evaluation", "stop_set", "stop_set"],
                "p_student": [0.9, 0.9, 0.1],
                "p_incumbent": [0.4, 0.4, 0.3],
                "incumbent_label": [True, True, False],
            }
        ),
    }


def test_rows_become_aligned_arrays() -> None:
    found = labelled_items(**_frames())
    assert found.item_id.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(found.votes, [[0, 1], [np.nan, 1], [1, np.nan]])
    assert found.undecided_by.tolist() == [[False, False], [True, False], [False, False]]
    assert found.undecided.tolist() == [0, 1, 0]
    assert found.decisive.tolist() == [2, 1, 1]
    assert found.answers.tolist() == [2, 2, 1]
    assert found.positive_share.tolist() == [0.5, 1, 1]
    assert found.split.tolist() == ["panel", "fine-tuning", ""]
    assert found.evaluation.tolist() == [True, False, False]
    assert found.reason.tolist() == ["audit", "promising", "control"]
    assert found.group.tolist() == ["a", "pair", "c"]
    np.testing.assert_array_equal(found.p_student, [0.9, np.nan, np.nan])
    np.testing.assert_array_equal(found.incumbent, [1, np.nan, np.nan])
    np.testing.assert_array_equal(found.stratum_size, [50, np.nan, np.nan])
    assert found.where(found.evaluation).item_id.tolist() == ["a"]
    assert found.counted_alike.tolist() == found.evaluation.tolist()


def test_check_items_are_held_out_but_not_counted_alike() -> None:
    frames = _frames()
    frames["split"] = frames["split"].with_columns(reason=pl.lit("check"), split=pl.lit("evaluation")).head(1)
    found = labelled_items(**frames)
    assert found.evaluation.tolist() == [True, False, False]
    assert not found.counted_alike.any()
    masks = scope_masks(found)
    assert {name for name, mask in masks.items() if mask[0]} == {"audit", "loop"}


def test_the_order_of_rows_does_not_matter() -> None:
    frames = _frames()
    turned = {name: frame.reverse() for name, frame in frames.items()}
    first, second = labelled_items(**frames), labelled_items(**turned)
    for name in first.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize(
    ("frame", "change", "message"),
    [
        ("votes", lambda f: f.drop("group_id"), "votes: columns group_id are missing"),
        ("votes", lambda f: f.with_columns(label=pl.lit("maybe")), "votes.label: 'maybe'; expected one of positive"),
        ("votes", lambda f: pl.concat([f, f.head(1)]), "votes: more than one row for item_id='b', rater='zoe'"),
        ("split", lambda f: pl.concat([f, f.head(1)]), "split: more than one row for item_id='a'"),
        ("scores", lambda f: f.filter(pl.col("role") == "stop_set"), "1 labelled evaluation items have no score.*'a'"),
        ("scores", lambda f: f.with_columns(p_incumbent=pl.lit(None, pl.Float64)), "have no score"),
    ],
)
def test_frames_that_do_not_fit_are_refused(frame: str, change: Callable[[pl.DataFrame], Any], message: str) -> None:
    frames = _frames()
    with pytest.raises(ValueError, match=message):
        labelled_items(**{**frames, frame: change(frames[frame])})


def test_agreement_rests_on_first_answers_where_they_are_known() -> None:
    frames = _frames()
    first = pl.Series("first_label", ["undecided", "negative", "positive", "positive", "positive"])
    found = labelled_items(frames["votes"].with_columns(first), frames["split"], frames["scores"])
    np.testing.assert_array_equal(found.votes, [[1, 1], [0, np.nan], [1, np.nan]])
    assert found.undecided_by.tolist() == [[False, False], [False, True], [False, False]]
    with pytest.raises(ValueError, match=r"votes.label: 'withdrawn'"):
        labelled_items(frames["votes"].with_columns(first_label=pl.lit("withdrawn")), frames["split"], frames["scores"])
