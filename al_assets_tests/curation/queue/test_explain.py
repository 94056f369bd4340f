import time
from typing import Any

import numpy as np
import polars as pl
import pytest

from al_assets.curation.checks import CurationError
from al_assets.curation.queue.explain import (
    EXPLANATION,
    explain_queue,
    known_sentences,
    place_sentence,
    why_sentences,
    why_table,
)
from al_assets.tables import BOUNDARY_PAIRS, CLUSTER_ASSIGNMENTS, PSEUDO_LABELS, REVIEW_QUEUE, WHY_QUEUED

SCORES = pl.DataFrame(
    {
        "item_id": ["n1", "p1", "p2", "n2", "lone"],
        "p_positive": [0.4, 0.61, 0.9, 0.1, 0.3],
        "label": [False, True, True, False, None],
    }
)
CLUSTERS = pl.DataFrame(
    {
        "item_id": ["p1", "n1", "p2", "n2", "lone"],
        "region": [3, 1, 4, 1, 2],
        "cell": [12, 4, 0, 5, 6],
    },
    schema_overrides={"region": pl.Int32, "cell": pl.Int32},
)
PAIRS = pl.DataFrame(
    {
        "pair_id": ["p1|n1", "p2|n2", "p2|n1"],
        "positive_item": ["p1", "p2", "p2"],
        "negative_item": ["n1", "n2", "n1"],
        "similarity": [0.83, 0.7, 0.6],
        "mixing": [0.9, 0.5, 0.2],
        "positive_region": [3, 4, 4],
        "negative_region": [1, 1, 1],
        "rank": [11, 1, None],
    }
)


def queue(*rows: tuple[str, str, str | None], **columns: Any) -> pl.DataFrame:
    given = {
        "text": [f"text of {item}" for item, _, _ in rows],
        "item_id": [item for item, _, _ in rows],
        "reason": [reason for _, reason, _ in rows],
        "pair_id": pl.Series([pair for _, _, pair in rows], dtype=pl.String),
        "inclusion_probability": pl.Series([None] * len(rows), dtype=pl.Float64),
        "rank": pl.Series([None] * len(rows), dtype=pl.Int64),
    }
    return pl.DataFrame({**given, **columns})


def explained(frame: pl.DataFrame) -> pl.DataFrame:
    return explain_queue(frame, scores=SCORES, clusters=CLUSTERS, pairs=PAIRS)


def test_every_item_gets_what_the_tables_know_of_it() -> None:
    asked = queue(
        ("golden", "gold", None),
        ("n1", "boundary", "p1|n1"),
        ("n2", "audit", None),
        ("p2", "margin", None),
        ("p1", "boundary", "p1|n1"),
    )
    found = explained(asked)
    assert found.select(asked.columns).equals(asked)
    assert dict(found.select(EXPLANATION.names()).schema) == dict(EXPLANATION)
    assert found.select(EXPLANATION.names()).rows() == [
        (None, None, None, None, None, None, None, None),
        (0.4, "negative", 1, 4, "p1", 3, 0.83, 0.9),
        (0.1, "negative", 1, 5, None, None, None, None),
        (0.9, "positive", 4, 0, None, None, None, None),
        (0.61, "positive", 3, 12, "n1", 1, 0.83, 0.9),
    ]
    assert explained(found).equals(found)


def test_a_label_or_pair_that_is_not_known_is_null() -> None:
    found = explained(queue(("lone", "audit", None), ("p1", "boundary", "gone|p1"), ("n2", "boundary", "p1|n1")))
    assert found["called"].to_list() == [None, "positive", "negative"]
    assert found["partner_item"].null_count() == 3


def test_an_empty_queue_has_the_columns() -> None:
    assert explained(queue(("p1", "audit", None)).clear()).columns[-len(EXPLANATION) :] == EXPLANATION.names()


def test_the_queue_declares_what_is_added() -> None:
    declared = REVIEW_QUEUE.schema
    assert {name: declared[name] for name in EXPLANATION} == dict(EXPLANATION)
    assert set(WHY_QUEUED) == {"rank", *EXPLANATION}
    assert all(REVIEW_QUEUE.columns[name].nullable and REVIEW_QUEUE.columns[name].description for name in WHY_QUEUED)


def test_tables_as_they_are_stored_are_understood() -> None:
    empty = {"scores": PSEUDO_LABELS.empty(), "clusters": CLUSTER_ASSIGNMENTS.empty(), "pairs": BOUNDARY_PAIRS.empty()}
    found = explain_queue(REVIEW_QUEUE.empty(), **empty)
    assert REVIEW_QUEUE.check(found).is_empty()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": SCORES.drop("label")}, "scores: column label is missing"),
        ({"clusters": CLUSTERS.drop("cell")}, "clusters: column cell is missing"),
        ({"pairs": PAIRS.drop("mixing")}, "pairs: column mixing is missing"),
        ({"scores": pl.concat([SCORES, SCORES])}, "item_id: 0 null and 1 repeated of 2"),
        ({"pairs": pl.concat([PAIRS, PAIRS])}, r"pairs.pair_id: 'p1\|n1' is there more than once"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(change: dict[str, pl.DataFrame], message: str) -> None:
    tables = {"scores": SCORES, "clusters": CLUSTERS, "pairs": PAIRS, **change}
    with pytest.raises(CurationError, match=message):
        explain_queue(queue(("p1", "boundary", "p1|n1")), **tables)


def test_a_queue_is_explained_from_a_large_pool_in_a_moment() -> None:
    items = 300_000
    ids = [f"i{number}" for number in range(items)]
    rng = np.random.default_rng(0)
    scores = pl.DataFrame({"item_id": ids, "p_positive": rng.random(items), "label": rng.random(items) < 0.1})
    zeros = np.zeros(items, dtype=np.int32)
    clusters = pl.DataFrame({"item_id": ids, "region": zeros, "cell": zeros})
    asked = queue(*((item, "margin", None) for item in ids[::1000]))
    start = time.process_time()
    found = explain_queue(asked, scores=scores, clusters=clusters, pairs=PAIRS)
    assert time.process_time() - start < 20
    assert found["p_positive"].to_list() == scores["p_positive"].gather_every(1000).to_list()


BOUNDARY = {
    "item_id": "p1", "reason": "boundary", "pair_id": "p1|n1", "rank": 11, "inclusion_probability": 0.25,
    "p_positive": 0.61, "called": "positive", "region": 3, "cell": 12, "partner_item": "n1", "partner_region": 1,
    "similarity": 0.83, "mixing": 0.9,
}  # fmt: skip
SEEN = ["Called positive (p 0.61), in region 3, cell 12."]


def test_a_boundary_item_names_pair_place_and_chance() -> None:
    assert why_sentences(BOUNDARY) == [
        "Half of a boundary pair: two items near each other that the incumbent calls by different labels.",
        "Its pair was 12th in the order of boundary pairs.",
        "Given that order and what earlier parts of the queue had taken, its chance to be drawn was 0.25.",
        *SEEN,
        "Its partner n1 of region 1, called negative, is at cosine 0.83.",
        "Of the items nearest to the two, 45 % are called by the label that is rarer there "
        "(mixing 0.9, where 1 is half and half).",
    ]
    other = {**BOUNDARY, "called": "negative", "region": 4, "partner_region": 4, "inclusion_probability": 1.0}
    said = why_sentences(other)
    assert said[2] == "Given that order and what earlier parts of the queue had taken, it was certain to be picked."
    assert said[3] == "Called negative (p 0.61), in region 4, cell 12."
    assert said[4] == "Its partner n1 of region 4, called positive, is at cosine 0.83."


def test_what_an_older_queue_did_not_record_is_said() -> None:
    older = dict.fromkeys(BOUNDARY) | {"item_id": "p1", "reason": "boundary", "pair_id": "p1|n1"}
    expected = [
        "Its chance to be picked is not recorded.",
        "Its score and label then are not recorded.",
        "It belongs to the pair p1|n1, of which nothing else is recorded.",
    ]
    assert why_sentences(older)[1:] == expected
    assert why_sentences({"item_id": "p1", "reason": "boundary", "pair_id": "p1|n1"})[1:] == expected


def single(reason: str, **columns: Any) -> list[str]:
    known = {name: BOUNDARY[name] for name in ("item_id", "p_positive", "called", "region", "cell")}
    return why_sentences({**known, "reason": reason, **columns})


def test_an_audit_item_names_its_stratum_and_what_it_stands_for() -> None:
    columns = {"stratum": "score 5/5, positive", "stratum_size": 240}
    assert single("audit", inclusion_probability=9 / 240, **columns)[1:] == [
        "Drawn at random: 9 of the 240 items of stratum 'score 5/5, positive', so each had a chance of 0.0375.",
        "Its label stands for 26.7 of the items that could be asked then.",
        *SEEN,
    ]
    assert single("audit", inclusion_probability=1.0, **columns)[1:-1] == [
        "Drawn at random: 240 of the 240 items of stratum 'score 5/5, positive', so each was certain to be drawn."
    ]
    assert single("audit", inclusion_probability=0.5)[1:-1] == ["Its chance to be drawn was 0.5."]
    assert single("audit")[1:-1] == ["Its chance to be picked is not recorded."]


def test_a_check_item_names_what_the_two_models_said_and_what_it_stands_for() -> None:
    columns = {"stratum": "student positive, incumbent negative", "stratum_size": 150}
    said = single("check", inclusion_probability=20 / 150, **columns)
    assert "where the student and the model it is compared with differ" in said[0]
    assert said[1:] == [
        "Its stratum 'student positive, incumbent negative' stands for 150 items of the pool.",
        "Each of them had a chance of 0.133.",
        "Its label stands for 7.5 of the items that could be asked then.",
        *SEEN,
    ]
    assert single("check")[1:-1] == ["Its chance to be picked is not recorded."]


@pytest.mark.parametrize(
    ("reason", "chance", "expected"),
    [
        ("control", 0.02, "Counting the audit's draw and its own, its chance to become a control item was 0.02."),
        ("random", 0.125, "Given what earlier parts of the queue had taken, its chance was 0.125."),
        ("repeat", 0.25, "Of the items whose answers were old enough, each had a chance of 0.25."),
        ("control", None, "Its chance to be picked is not recorded."),
    ],
)
def test_what_a_chance_means_depends_on_the_reason(reason: str, chance: float | None, expected: str) -> None:
    said = single(reason, inclusion_probability=chance, rank=7)
    assert said[1] == expected
    assert not [each for each in said if "8th" in each]


@pytest.mark.parametrize(
    ("reason", "opening", "order"),
    [
        ("promising", "Picked for its high score", "scores, the highest first"),
        ("margin", "its score is near to where", "scores, the nearest to the change of label first"),
        ("entropy", "near to one half", "scores, the nearest to one half first"),
        ("disagreement", "the labelers disagree", "disagreement between the labelers, the largest first"),
        ("typiclust", "most typical item of a cluster", "the strategy typiclust"),
        ("k_center", "far from everything picked", "the strategy k_center"),
        ("novelty", "Picked by the strategy novelty", "the strategy novelty"),
    ],
)
def test_every_strategy_says_what_it_looked_for_and_its_order(reason: str, opening: str, order: str) -> None:
    said = single(reason, rank=1, inclusion_probability=1)
    assert opening in said[0]
    assert said[1] == f"Among the items left it was 2nd in the order of {order}."
    assert said[2].endswith("it was certain to be picked.")
    assert said[3:] == SEEN


def test_hidden_items_say_that_they_are_no_labels() -> None:
    (gold,) = why_sentences({"item_id": "g", "reason": "gold", "pair_id": None})
    assert gold.startswith("Hidden gold: its answer is known.")
    assert "no second answer is a label" in single("repeat")[0]


@pytest.mark.parametrize(
    ("rank", "place"),
    [(0, "1st"), (1, "2nd"), (2, "3rd"), (3, "4th"), (10, "11th"), (12, "13th"), (20, "21st"), (1_110, "1,111th")],
)
def test_ranks_count_from_one(rank: int, place: str) -> None:
    assert place_sentence(rank, "boundary") == f"Its pair was {place} in the order of boundary pairs."


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0"), (1.0, "1"), (0.00001, "0.00001"), (0.99996, "0.99996"), (0.12345, "0.123"), (0.5, "0.5")],
)
def test_a_number_is_rounded_but_never_to_certainty(value: float, said: str) -> None:
    assert known_sentences({"called": "negative", "p_positive": value}) == [f"Called negative (p {said})."]


def test_a_mixing_of_nothing_and_of_half_and_half() -> None:
    row = {"called": "positive", "p_positive": 0.9, "partner_item": "n"}
    assert known_sentences(row)[1:] == ["Its partner n, called negative."]
    assert "nearest to the two, 0 % are called" in known_sentences({**row, "mixing": 0.0})[-1]
    assert "nearest to the two, 50 % are called" in known_sentences({**row, "mixing": 1.0})[-1]


def test_the_table_shows_the_first_of_each_reason() -> None:
    asked = queue(
        ("p1", "boundary", "p1|n1"), ("n1", "boundary", "p1|n1"), ("golden", "gold", None), ("p2", "margin", None),
        ("n2", "margin", None), inclusion_probability=[0.25, 0.25, None, 1.0, 1.0], rank=[11, 11, None, 0, 1],
    )  # fmt: skip
    table = why_table(explained(asked), rows=1)
    assert table.columns == [
        "reason", "text", "called", "p_positive", "region", "partner", "mixing", "rank", "chance",
    ]  # fmt: skip
    assert table.rows() == [
        ("boundary", "text of p1", "positive", 0.61, 3, "n1", 0.9, 12, 0.25),
        ("gold", "text of golden", None, None, None, None, None, None, None),
        ("margin", "text of p2", "positive", 0.9, 4, None, None, 1, 1.0),
    ]
    assert why_table(explained(asked))["text"].to_list() == [
        f"text of {item}" for item in ("p1", "n1", "golden", "p2", "n2")
    ]
    with pytest.raises(CurationError, match="rows: 0 is too small"):
        why_table(explained(asked), 0)
