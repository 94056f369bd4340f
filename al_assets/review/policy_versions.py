"""Versions of the policy: which text each vote was cast under, and which votes to look at again after an edit."""

import json
from functools import cache
from typing import Any

import polars as pl

from al_assets.agreement.core.labelled_items import RANDOM_REASONS
from al_assets.config import Policy, PolicyText
from al_assets.storage.ledger import Ledger
from al_assets.storage.ledger.registers import text_row
from al_assets.storage.root import RunRoot

CURRENT, OLDER, UNKNOWN = "current text", "older text", "text not on record"
SECOND_LOOK_COLUMNS = (
    "rank", "item_id", "text", "rater", "label", "iteration", "reason", "policy_version", "cast_under", "changed",
    "positive_votes", "negative_votes", "undecided_votes", "p_positive", "distance", "voted_at", "seq",
)  # fmt: skip


def version_notes(ledger: Ledger, policy: Policy) -> list[str]:
    """Say where version and text went apart: a text edited under the same version, a version raised without an edit.

    :return: a sentence for each; none if every version has one text and every text one version.
    """
    states = _states(ledger.policy_texts(), policy.policy)
    notes = []
    for version in states["version"].unique(maintain_order=True):
        texts = states.filter(version=version).unique("text_fingerprint", maintain_order=True)["text"].to_list()
        if len(texts) > 1:
            parts = ", ".join(sorted({part for each in texts[:-1] for part in _changed(each, texts[-1])}))
            notes.append(
                f"policy.version: {version!r} stood over {len(texts)} texts ({parts} edited); raise it with every "
                "edit: an answer given again under the same version counts as a repetition, not as a second look"
            )
    for text in states["text_fingerprint"].unique(maintain_order=True):
        versions = states.filter(text_fingerprint=text)["version"].unique(maintain_order=True).to_list()
        if len(versions) > 1:
            notes.append(
                f"policy.version: {' and '.join(map(repr, versions))} have one and the same text; votes under them "
                "are taken together, and none needs a second look"
            )
    return notes


def policy_versions(ledger: Ledger, policy: Policy, watermark: int | None = None) -> pl.DataFrame:
    """Return how many of the votes that count were cast under each version and text, the oldest vote first.

    :return: policy_version, cast_under (current text, older text, text not on record), changed (what was edited since,
        such as "guideline", empty if nothing or unknown), votes, items, raters, first_voted_at, last_voted_at.
    """
    return (
        _votes_by_text(ledger, policy, watermark)
        .group_by("policy_version", "text_fingerprint", "cast_under", "changed")
        .agg(
            votes=pl.len().cast(pl.Int64),
            items=pl.col("item_id").n_unique().cast(pl.Int64),
            raters=pl.col("rater").n_unique().cast(pl.Int64),
            first_voted_at=pl.col("voted_at").min(),
            last_voted_at=pl.col("voted_at").max(),
        )
        .sort("first_voted_at", "policy_version", "text_fingerprint")
        .drop("text_fingerprint")
    )


def second_look(
    ledger: Ledger,
    policy: Policy,
    *,
    scores: pl.DataFrame | None = None,
    threshold: float = 0.5,
    watermark: int | None = None,
) -> pl.DataFrame:
    """Return the votes that count and were not cast under the policy's present text, most in doubt first.

    First the items whose raters disagree most evenly, then those with a "cannot decide", then boundary items, then
    those the model scores nearest to its threshold. A raised version over the same text calls for nothing.

    :param scores: item_id, p_positive; items it does not know have no distance and come last among equals.
    :param threshold: p_positive from which the model calls an item positive.
    :param watermark: as of this place in the ledger; None is now.
    :return: columns of SECOND_LOOK_COLUMNS, a row for each vote; rank 1 is to be looked at first, and votes on the
        same item share their rank.
    """
    votes = _votes_by_text(ledger, policy, watermark)
    known = pl.DataFrame(schema={"item_id": pl.String, "p_positive": pl.Float64}) if scores is None else scores
    tally = votes.group_by("item_id").agg(
        (pl.col("label") == label).sum().cast(pl.Int64).alias(f"{label}_votes")
        for label in ("positive", "negative", "undecided")
    )
    for_one, against = pl.col("positive_votes"), pl.col("negative_votes")
    minority = pl.min_horizontal(for_one, against) / pl.max_horizontal(for_one + against, 1)
    return (
        votes.filter(pl.col("cast_under") != CURRENT)
        .join(tally, on="item_id", maintain_order="left")
        .join(known.select("item_id", "p_positive"), on="item_id", how="left", maintain_order="left")
        .with_columns(distance=(pl.col("p_positive") - threshold).abs())
        .sort(
            -minority, pl.col("undecided_votes") == 0, pl.col("reason").is_in(RANDOM_REASONS), "distance", "item_id",
            "seq", nulls_last=True,
        )
        .with_columns(rank=pl.col("item_id").rle_id().cast(pl.Int64) + 1)
        .select(SECOND_LOOK_COLUMNS)
    )  # fmt: skip


def second_look_now(policy: Policy) -> pl.DataFrame:
    """Return ``second_look`` of a policy's ledger, with the scores and threshold of the newest pseudo-labels."""
    root = RunRoot(policy.root)
    keys = root.table_keys("pseudo_labels")
    with Ledger.of(policy) as ledger:
        if not keys:
            return second_look(ledger, policy)
        labels = root.read_table("pseudo_labels", keys[-1])
        return second_look(ledger, policy, scores=labels, threshold=float(labels["threshold"][0]))


def _votes_by_text(ledger: Ledger, policy: Policy, watermark: int | None) -> pl.DataFrame:
    """Return the votes that count, each with the text it was cast under and what was edited since."""
    votes = ledger.asked_votes(watermark=watermark)
    states = _states(ledger.policy_texts(), policy.policy)
    by_fingerprint = dict(states.select("fingerprint", "text_fingerprint").iter_rows())
    by_version = {
        version: texts[0]
        for version, texts in states.group_by("version").agg(pl.col("text_fingerprint").unique()).iter_rows()
        if len(texts) == 1
    }
    texts = dict(states.select("text_fingerprint", "text").iter_rows())
    now = policy.policy.text_fingerprint()

    @cache
    def judged(fingerprint: str | None, version: str) -> tuple[str | None, str, str]:
        # A file may name the version only: if that stood over one text, it is the one.
        text = by_version.get(version) if fingerprint is None else by_fingerprint.get(fingerprint)
        if text is None:
            return None, OLDER if version != policy.policy.version else UNKNOWN, ""
        if text == now:
            return text, CURRENT, ""
        return text, OLDER, ", ".join(_changed(texts[text], texts[now]))

    standings = [judged(*cast) for cast in votes.select("policy_fingerprint", "policy_version").iter_rows()]
    schema = {"text_fingerprint": pl.String, "cast_under": pl.String, "changed": pl.String}
    return votes.hstack(pl.DataFrame(standings, schema=schema, orient="row"))


def _states(recorded: pl.DataFrame, current: PolicyText) -> pl.DataFrame:
    """Return the states of the policy on record, the oldest first, and at the end the present one."""
    now = pl.DataFrame([text_row(current)])
    return pl.concat([recorded.select(now.columns).filter(pl.col("fingerprint") != now["fingerprint"][0]), now])


def _changed(before: str, after: str) -> list[str]:
    """Return which parts of a text were edited."""
    old: dict[str, Any] = json.loads(before)
    new: dict[str, Any] = json.loads(after)
    return [part for part in new if old.get(part) != new[part]]
