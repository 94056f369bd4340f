from pathlib import Path

from al_assets.review.questions import questions
from al_assets.review.rater_quality import rater_quality
from al_assets.storage.ledger import Ledger
from al_assets_tests.review.test_questions import with_hidden
from al_assets_tests.support.ledger import vote
from al_assets_tests.support.policies import make_policy, write


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
    assert found.retest["reason"].to_list() == ["no retest: set selection.repeat_share above 0"] * 2
