"""Why an item was queued is on record, and no rater ever sees it."""

import csv
import json
from pathlib import Path

import polars as pl
import pytest

from al_assets.review.files.exchange import SHEET_COLUMNS, export_policy_gaps, export_queue, export_votes
from al_assets.review.questions import questions
from al_assets.storage.ledger import Ledger
from al_assets.tables import REVIEW_QUEUE, WHY_QUEUED
from al_assets_tests.support.ledger import RATERS, items, queue_frame, vote
from al_assets_tests.support.policies import make_policy

SECRETS = {
    "reason": "boundary", "pair_id": "secret-pair", "stratum": "secret-stratum", "stratum_size": 770_077,
    "inclusion_probability": 0.717171, "rank": 919_191, "p_positive": 0.727272, "called": "positive", "region": 31_337,
    "cell": 42_424, "partner_item": "secret-partner", "partner_region": 51_515, "similarity": 0.737373,
    "mixing": 0.747474,
}  # fmt: skip
SIGNS = ["secret", "717171", "919191", "727272", "31337", "42424", "51515", "737373", "747474", "770077"]
NOT_FOR_RATERS = set(REVIEW_QUEUE.columns) - {"item_id", "text"}


def published(url: str, *, hidden: bool = False) -> Ledger:
    ledger = Ledger(url, "spam", RATERS)
    queue = [queue_frame(items(12), **SECRETS)]
    if hidden:
        queue.append(queue_frame(["gold-1"], reason="gold", text="text of another"))
    ledger.publish("0000", pl.concat(queue), {})
    return ledger


def read(sheet: Path) -> list[dict[str, str]]:
    if sheet.suffix == ".csv":
        with sheet.open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.DictReader(stream))
    if sheet.suffix == ".jsonl":
        return [json.loads(line) for line in sheet.read_text().splitlines()]
    return pl.read_parquet(sheet).to_dicts()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("rater", [None, "anna"])
def test_a_sheet_says_nothing_of_why(tmp_path: Path, suffix: str, hidden: bool, rater: str | None) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    ledger, policy = published(url, hidden=hidden), make_policy(url)
    assert set(WHY_QUEUED) <= set(SECRETS)
    sheet = tmp_path / f"sheet.{suffix}"
    assert export_queue(ledger, policy, "0000", sheet, rater) == 12 + hidden
    rows = read(sheet)
    assert {tuple(row) for row in rows} == {SHEET_COLUMNS}
    assert not set(SHEET_COLUMNS) & NOT_FOR_RATERS
    cells = {str(cell) for row in rows for cell in row.values()}
    assert not [cell for cell in cells if cell in ("boundary", "positive", "gold") or any(s in cell for s in SIGNS)]
    content = sheet.read_bytes()
    assert not [sign for sign in SIGNS if sign.encode() in content]


def test_questions_hold_what_is_shown_and_their_order_tells_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    policy = make_policy(url)
    shown = questions(published(url), policy, "0000", "anna")
    assert shown.columns == ["shown_id", "item_id", "text"]
    other = Ledger(f"sqlite:///{tmp_path}/other.sqlite", "spam", RATERS)
    other.publish("0000", queue_frame(items(12), reason="audit").with_columns(rank=pl.int_range(12)), {})
    assert questions(other, policy, "0000", "anna").equals(shown)


def test_lists_of_votes_and_gaps_do_not_carry_it_either(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    ledger = published(url)
    ledger.record([vote("item001", label="undecided", comment="who knows")])
    export_votes(ledger, tmp_path / "votes.jsonl")
    export_policy_gaps(ledger, tmp_path / "gaps.jsonl")
    for name in ("votes", "gaps"):
        (row,) = read(tmp_path / f"{name}.jsonl")
        assert not set(row) & {*WHY_QUEUED, "pair_id", "stratum", "stratum_size"}
        assert "secret" not in json.dumps(row)
