import polars as pl
import pytest
from statsmodels.stats.proportion import proportion_confint

from al_assets.agreement.raters.gold_accuracy import gold_accuracy
from al_assets.tables import GOLD_ACCURACY

GOLD = pl.DataFrame({"item_id": ["g1", "g2", "g3", "g4"], "label": ["positive", "positive", "negative", "negative"]})


def answers(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(("iteration", "rater", "item_id", "label"), pl.String), orient="row")


def test_answers_are_counted_by_rater_and_iteration_and_over_all() -> None:
    given = answers(
        ("0000", "anna", "g1", "positive"), ("0000", "anna", "g2", "negative"), ("0000", "anna", "g3", "positive"),
        ("0001", "anna", "g4", "negative"), ("0000", "ben", "g1", "undecided"), ("0000", "ben", "left", "positive"),
    )  # fmt: skip
    found = gold_accuracy(given, GOLD)
    assert found.schema == GOLD_ACCURACY.schema
    counts = ("iteration", "rater", "items", "right", "false_positive", "false_negative", "undecided", "accuracy")
    assert found.select(counts).rows() == [
        ("0000", "anna", 3, 1, 1, 1, 0, pytest.approx(1 / 3)),
        ("0000", "ben", 0, 0, 0, 0, 1, None),
        ("0001", "anna", 1, 1, 0, 0, 0, 1.0),
        ("all", "anna", 4, 2, 1, 1, 0, 0.5),
        ("all", "ben", 0, 0, 0, 0, 1, None),
    ]
    assert found["reason"].to_list() == [None, "no decisive answer to a gold item"] + [None, None] + [
        "no decisive answer to a gold item"
    ]
    assert found["low"][3] == pytest.approx(proportion_confint(2, 4, method="wilson")[0])
    assert gold_accuracy(given.sample(fraction=1, shuffle=True, seed=3), GOLD).equals(found)


def test_without_answers_there_are_no_rows() -> None:
    assert gold_accuracy(answers(), GOLD).schema == GOLD_ACCURACY.schema
    assert gold_accuracy(answers(), GOLD).height == 0


@pytest.mark.parametrize(("right", "items"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 12), (95, 100)])
@pytest.mark.parametrize("confidence", [0.95, 0.9])
def test_the_interval_is_wilsons(right: int, items: int, confidence: float) -> None:
    given = answers(*(("0000", "anna", f"g{item}", "positive") for item in range(items)))
    known = pl.DataFrame(
        {
            "item_id": [f"g{item}" for item in range(items)],
            "label": ["positive"] * right + ["negative"] * (items - right),
        }
    )
    found = gold_accuracy(given, known, confidence=confidence).row(0, named=True)
    expected = proportion_confint(right, items, alpha=1 - confidence, method="wilson")
    assert (found["low"], found["high"]) == pytest.approx(expected, abs=1e-12)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="answers: columns label are missing; expected item_id, rater"):
        gold_accuracy(answers().drop("label"), GOLD)
    with pytest.raises(ValueError, match="gold: columns label are missing"):
        gold_accuracy(answers(), GOLD.drop("label"))
