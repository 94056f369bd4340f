import json
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from al_assets.tables import TABLES
from al_assets_tests.support.small_loop import MakeLoop, SmallLoop, failure

LABELLED = ["incumbent_model", "pool", "quarantine", "pseudo_labels"]
LEXICON = {"kind": "functions", "functions": ["al_assets.demo.lexicon:strongly_negative"]}
WORDS = {"kind": "keywords", "positive": ["hate", "worst", "bad", "terrible"], "negative": ["great", "love", "good"]}
LABELER = {"kind": "combination", "labelers": [LEXICON, WORDS], "method": "label_model"}


def labelled(loop: SmallLoop) -> tuple[pl.DataFrame, dict[str, dg.MetadataValue]]:
    done = loop.run("curate", "0000", selection=LABELLED)
    assert done.success, failure(done)
    (made,) = done.asset_materializations_for_node("pseudo_labels")
    return TABLES["pseudo_labels"].check(loop.root.read_table("pseudo_labels", "0000")), dict(made.metadata)


def test_a_label_model_is_fitted_to_the_pool_and_its_members_are_shown(make_loop: MakeLoop) -> None:
    loop = make_loop(labeler=LABELER)
    table, metadata = labelled(loop)
    assert table["p_positive"].mean() == pytest.approx(0.15, abs=0.001)
    assert table["disagreement"].null_count() == 0
    assert 0 < table.filter(pl.col("disagreement") > 0).height < table.height / 2
    shown = str(metadata["members"].value)
    for said in ("sensitivity", "specificity", "agreement", "keywords: hate, worst, bad, terrible"):
        assert said in shown
    (fingerprint,) = table["labeler_fingerprint"].unique()
    file = Path(loop.root.label_model_path(fingerprint).path)
    assert json.loads(file.read_text(encoding="utf-8"))["items"] == table.height

    # Asked again, nobody is asked again, and the label model is the one that is kept.
    kept = file.read_bytes()
    again, _ = labelled(loop)
    assert again.equals(table)
    assert file.read_bytes() == kept


def test_another_method_takes_the_votes_that_are_kept(make_loop: MakeLoop) -> None:
    by_model = make_loop("first", labeler=LABELER)
    first, _ = labelled(by_model)
    scores = by_model.root.base / "scores"
    before = {path.name: sorted(each.name for each in path.iterdir()) for path in scores.iterdir()}
    assert len(before) == 2
    text = by_model.policy_file.read_text(encoding="utf-8").replace("label_model", "mean")
    by_model.policy_file.write_text(text, encoding="utf-8")
    by_mean = SmallLoop(by_model.policy_file, by_model.instance, by_model.texts)
    second, metadata = labelled(by_mean)
    assert {path.name: sorted(each.name for each in path.iterdir()) for path in scores.iterdir()} == before
    assert not second["p_positive"].equals(first["p_positive"])
    assert second["labeler_fingerprint"][0] != first["labeler_fingerprint"][0]
    assert "members" in metadata


def test_one_labeler_disagrees_with_nobody(make_loop: MakeLoop) -> None:
    table, metadata = labelled(make_loop())
    assert table["disagreement"].null_count() == table.height
    assert "members" not in metadata
