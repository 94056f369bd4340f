from pathlib import Path
from typing import Any

import polars as pl
import pytest

from al_assets.config import Policy
from al_assets.review.hidden_items import load_gold, rater_quality
from al_assets.review.questions import questions
from al_assets.storage.ledger import Ledger
from al_assets_tests.review.test_questions import with_hidden
from al_assets_tests.support.ledger import vote
from al_assets_tests.support.policies import make_policy, write

ROWS = [
    {"item_id": "g1", "text": "Buy now!", "label": "yes", "why": "it sells"},
    {"item_id": "2", "text": "Hello", "label": "NEGATIVE", "why": None},
]


def policy_with(folder: Path, gold: str | None = "gold.csv") -> Policy:
    policy = make_policy("sqlite:///x.sqlite")
    return policy.model_copy(
        update={"base_dir": folder, "selection": policy.selection.model_copy(update={"gold": gold})}
    )


@pytest.mark.parametrize("name", ["gold.csv", "gold.jsonl", "gold.parquet"])
def test_gold_is_read_beside_the_policy(tmp_path: Path, name: str) -> None:
    frame = pl.DataFrame(ROWS)
    writers: dict[str, Any] = {"gold.csv": frame.write_csv, "gold.jsonl": frame.write_ndjson,
                               "gold.parquet": frame.write_parquet}  # fmt: skip
    writers[name](tmp_path / name)
    found = load_gold(policy_with(tmp_path, name))
    assert found.rows() == [("g1", "Buy now!", "positive", "it sells"), ("2", "Hello", "negative", "")]


def test_a_policy_without_gold_has_none() -> None:
    assert load_gold(make_policy("sqlite:///x.sqlite")).columns == ["item_id", "text", "label", "why"]
    assert load_gold(make_policy("sqlite:///x.sqlite")).height == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "item_id,text\n1,a\n",
            "gold.csv: column label is missing; found item_id, text; expected item_id, text, label",
        ),
        ("item_id,text,label\n1,a,maybe\n", "row 1: label 'maybe' is no answer gold can have; expected positive, neg"),
        ("item_id,text,label\n1,a,cannot decide\n", "row 1: label 'cannot decide' is no answer"),
        ("item_id,text,label\n1,a,yes\n2, ,yes\n", "gold.csv: row 2: text is empty; every gold item needs one"),
        ("item_id,text,label\n1,a,yes\n1,b,no\n", "item_id '1' is there twice"),
        ("item_id,text,label\n1,a\0,yes\n", "row 1: text holds a character no database stores"),
        ("", "gold.csv: is damaged or no .csv file"),
    ],
)
def test_a_wrong_file_is_refused_with_the_way_out(tmp_path: Path, content: str, said: str) -> None:
    write(tmp_path, "gold.csv", content)
    with pytest.raises(ValueError, match=said):
        load_gold(policy_with(tmp_path))


def test_a_missing_file_and_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"selection.gold: .*gold.csv cannot be read: No such file"):
        load_gold(policy_with(tmp_path))
    with pytest.raises(ValueError, match=r"gold.xlsx: gold is read from .csv, .jsonl or .parquet"):
        load_gold(policy_with(tmp_path, "gold.xlsx"))


def test_figures_come_from_hidden_items_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    ledger, policy = with_hidden(url), make_policy(url)
    selection = policy.selection.model_copy(update={"gold": "gold.csv"})
    policy = policy.model_copy(update={"base_dir": tmp_path, "selection": selection})
    write(tmp_path, "gold.csv", "item_id,text,label\ngold-1,a,yes\ngold-2,b,no\n")
    for item in questions(ledger, policy, "0001", "anna")["item_id"]:
        ledger.record([vote(item, "anna", "negative" if item == "item000" else "positive", iteration="0001")])
    found = rater_quality(ledger, policy)
    assert found.gold.select("iteration", "rater", "items", "right", "false_positive").rows() == [
        ("0001", "anna", 2, 1, 1),
        ("all", "anna", 2, 1, 1),
    ]
    assert found.retest.filter(figure="retest_agreement", slice="anna")["estimate"].to_list() == [0.5]
    before = rater_quality(ledger, policy, ["0000"])
    assert before.gold.height == 0
    assert before.retest["estimate"].to_list() == [None, None]


def test_without_hidden_items_nothing_is_known(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    found = rater_quality(Ledger(url, "spam"), make_policy(url))
    assert found.gold.height == 0
    assert found.retest["detail"].to_list() == ["no retest: set selection.repeat_share above 0"] * 2
