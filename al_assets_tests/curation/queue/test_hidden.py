from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from al_assets.curation.queue.hidden import draw_gold, draw_repeats, gold_twins, hidden_count, mix_hidden
from al_assets.tables import REVIEW_QUEUE, WHY_QUEUED

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
QUEUE_SCHEMA = pl.Schema(
    {name: dtype for name, dtype in REVIEW_QUEUE.schema.items() if name not in ("revision", *WHY_QUEUED)}
)


def gold(*ids: str) -> pl.DataFrame:
    return pl.DataFrame({"item_id": list(ids), "text": [f"golden {each}" for each in ids]})


def queue(*ids: str, reason: str = "boundary") -> pl.DataFrame:
    rows = [(each, f"text of {each}", reason, "a pair", f"group {each}", "high", 9, 0.5) for each in ids]
    return pl.DataFrame(rows, schema=QUEUE_SCHEMA, orient="row")


def votes(*rows: tuple[str, str], **fields: Any) -> pl.DataFrame:
    common = {"label": "positive", "policy_version": "1", "voted_at": NOW - timedelta(days=8), **fields}
    texts = ("item_id", "rater", "label", "policy_version")
    schema = pl.Schema({**dict.fromkeys(texts, pl.String()), "voted_at": pl.Datetime("us", "UTC")})
    return pl.DataFrame([{"item_id": item, "rater": rater, **common} for item, rater in rows], schema=schema)


def repeats(given: pl.DataFrame, asked: pl.DataFrame, **arguments: Any) -> pl.DataFrame:
    values: dict[str, Any] = {
        "wanted": 10,
        "raters": ["anna", "ben"],
        "version": "1",
        "before": NOW - timedelta(days=7),
    }
    return draw_repeats(given, asked, **{**values, **arguments})


@pytest.mark.parametrize(
    ("share", "budget", "count"), [(0, 120, 0), (0.05, 120, 6), (0.05, 10, 1), (0.07, 100, 7), (1, 3, 3), (0.5, 0, 0)]
)
def test_a_share_above_nothing_asks_at_least_one(share: float, budget: int, count: int) -> None:
    assert hidden_count(share, budget) == count


def test_a_wrong_share_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden share: 1.5 is not a share"):
        hidden_count(1.5, 10)


def test_gold_is_asked_once_and_never_a_text_that_was_asked() -> None:
    asked = pl.DataFrame({"item_id": ["g1", "other"], "text": ["whatever", "  Golden\n G2 "]})
    drawn = draw_gold(gold("g1", "g2", "g3", "g4"), wanted=10, asked=asked)
    assert drawn["item_id"].to_list() == ["g3", "g4"]
    assert drawn.schema == QUEUE_SCHEMA
    assert drawn["group_id"].to_list() == drawn["item_id"].to_list()
    assert set(drawn["reason"]) == {"gold"}
    for column in ("pair_id", "stratum", "stratum_size", "inclusion_probability"):
        assert drawn[column].null_count() == 2


def test_one_text_under_two_gold_ids_is_drawn_once() -> None:
    twice = pl.DataFrame({"item_id": ["a", "b"], "text": ["Same text", "same  TEXT"]})
    assert draw_gold(twice, wanted=2, asked=queue())["item_id"].to_list() == ["a"]


def test_the_draw_of_gold_depends_on_the_seed_alone() -> None:
    file = gold(*(f"g{number:02d}" for number in range(40)))
    first = draw_gold(file, wanted=5, asked=queue(), seed=1)
    assert first.height == 5
    assert draw_gold(file.reverse(), wanted=5, asked=queue(), seed=1).equals(first)
    assert not draw_gold(file, wanted=5, asked=queue(), seed=2).equals(first)
    assert draw_gold(file, wanted=0, asked=queue()).height == 0


def test_every_gold_item_is_drawn_equally_often() -> None:
    file = gold(*"abcdef")
    drawn = pl.concat([draw_gold(file, wanted=2, asked=queue(), seed=seed) for seed in range(600)])
    counts = drawn["item_id"].value_counts()["count"]
    # 600 draws of 2 in 6: 200 each, standard deviation 11.5.
    assert counts.min() > 200 - 46  # type: ignore[operator]
    assert counts.max() < 200 + 46  # type: ignore[operator]


def test_the_pool_loses_what_gold_stands_for() -> None:
    pool = pl.DataFrame({"item_id": ["g1", "p2", "p3"], "text": ["golden g1", "GOLDEN  g2", "golden"]})
    assert gold_twins(pool, gold("g1", "g2")) == ["g1", "p2"]
    with pytest.raises(ValueError, match="gold.item_id: 'p3' is an item of the pool with another text"):
        gold_twins(pool, gold("p3"))


def test_repeats_are_old_decisive_answers_of_present_raters_under_the_present_version() -> None:
    asked = pl.concat([queue(*"abcdefg"), queue("h", reason="gold"), queue("i", "j"), queue("j", reason="repeat")])
    given = pl.concat(
        [
            votes(("a", "anna"), ("a", "ben"), ("h", "anna"), ("j", "anna")),
            votes(("b", "anna"), label="undecided"),
            votes(("c", "anna"), policy_version="2"),
            votes(("d", "anna"), voted_at=NOW - timedelta(days=6)),
            votes(("e", "left the team")),
            votes(("f", "anna"), voted_at=NOW - timedelta(days=7)),
            votes(("g", "ben"), label="negative"),
            votes(("g", "left the team"), voted_at=NOW),
            votes(("i", "anna")),
            votes(("i", "ben"), label="undecided", voted_at=NOW - timedelta(days=1)),
        ]
    )
    drawn = repeats(given, asked)
    assert drawn["item_id"].to_list() == ["a", "f", "g"]
    assert drawn.schema == QUEUE_SCHEMA
    assert drawn["text"].to_list() == ["text of a", "text of f", "text of g"]
    assert drawn["group_id"].to_list() == ["group a", "group f", "group g"]
    assert drawn["pair_id"].null_count() == drawn["stratum"].null_count() == 3
    assert drawn["inclusion_probability"].to_list() == [1, 1, 1]
    assert repeats(given, asked, wanted=2)["inclusion_probability"].to_list() == [2 / 3] * 2


def test_without_old_answers_there_are_no_repeats() -> None:
    none = repeats(votes(), queue("a"))
    assert none.height == 0
    assert none.schema == QUEUE_SCHEMA


def test_hidden_items_lie_anywhere_among_the_others_whose_order_stays() -> None:
    main, hidden = queue(*(f"m{number:03d}" for number in range(90))), queue(*(f"h{number}" for number in range(10)))
    mixed = mix_hidden(main, hidden, seed=3)
    ids = mixed["item_id"].to_list()
    assert [each for each in ids if each[0] == "m"] == main["item_id"].to_list()
    assert sorted(each for each in ids if each[0] == "h") == hidden["item_id"].to_list()
    places = [at for at, each in enumerate(ids) if each[0] == "h"]
    assert min(places) < 50 < max(places)
    assert mix_hidden(main, hidden, seed=3).equals(mixed)
    assert mix_hidden(main, hidden.clear()).equals(main)
    with pytest.raises(ValueError, match="1 repeated of 101"):
        mix_hidden(main, pl.concat([hidden, main.head(1)]))
