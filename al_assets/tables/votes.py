"""What the ledger answers with, and what is made of votes for people to read."""

import polars as pl

from al_assets.tables.schema import MOMENT, Column, Table, optional

COMMENT = pl.Struct({"rater": pl.String, "label": pl.String, "text": pl.String})
"""A rater's remark: who made it, beside which label, and what they wrote."""
UNDECIDED_REASONS = ("ambiguous policy", "missing context", "other")
"""Why a rater could not decide, as raters may say it; they need not say."""
REASON_COLUMNS = {reason: f"{reason.replace(' ', '_')}_votes" for reason in UNDECIDED_REASONS}
"""The columns of ``policy_gaps`` that count them."""

VOTES = Table(
    "votes",
    ("seq",),
    seq=Column(pl.Int64, "place in the ledger, which is the order of commits"),
    item_id=Column(pl.String, "the item"),
    iteration=Column(pl.String, "iteration whose queue asked for it"),
    rater=Column(pl.String, "who voted"),
    label=Column(pl.String, "positive, negative or undecided; withdrawn in the history alone"),
    policy_version=Column(pl.String, "policy version the vote was cast under"),
    policy_fingerprint=optional(pl.String, "of the policy text the rater saw; null if unknown"),
    voted_at=Column(MOMENT, "when the rater answered"),
    recorded_at=Column(MOMENT, "when the ledger took it"),
    comment=optional(pl.String, "the rater's remark"),
    undecided_reason=optional(pl.String, "why the rater could not decide, if they said"),
    blind=Column(pl.Boolean, "the rater saw neither model output nor other raters' votes"),
    source=Column(pl.String, "how it came in, such as desk or file:votes.csv"),
    selected_by=Column(pl.String, "JSON: fingerprints of what chose the item"),
    inclusion_probability=optional(pl.Float64, "chance of being queued; null if not recorded"),
    supersedes=optional(pl.Int64, "seq of the same rater's answer before, null for the first"),
    vote_key=Column(pl.String, "the sender's own name for the answer"),
)
ANSWERS = Table(
    "answers",
    ("seq",),
    **VOTES.columns,
    reason=Column(pl.String, "why the item was queued"),
    group_id=Column(pl.String, "pair partners and near-duplicates share it"),
    text=Column(pl.String, "as shown to raters"),
    published_at=Column(MOMENT, "when the queue row was published"),
)
WITHDRAWALS = Table(
    "withdrawals",
    ("iteration", "item_id"),
    iteration=Column(pl.String, "iteration whose queue asked for it"),
    item_id=Column(pl.String, "the item"),
    seq=Column(pl.Int64, "place in the ledger of the last withdrawal"),
)
RETESTS = Table(
    "retests",
    ("seq",),
    item_id=Column(pl.String, "the item"),
    rater=Column(pl.String, "who answered twice"),
    group_id=Column(pl.String, "pair partners and near-duplicates share it"),
    first_seq=Column(pl.Int64, "place in the ledger of the first answer"),
    first_iteration=Column(pl.String, "iteration of the first answer"),
    first_label=Column(pl.String, "the first answer"),
    first_voted_at=Column(MOMENT, "when it was given"),
    seq=Column(pl.Int64, "place in the ledger of the answer to the repeat"),
    iteration=Column(pl.String, "iteration of the repeat"),
    label=Column(pl.String, "the answer to the repeat"),
    voted_at=Column(MOMENT, "when it was given"),
    days=Column(pl.Float64, "days between the two"),
    policy_version=Column(pl.String, "policy version of the answer to the repeat"),
    same_policy=Column(pl.Boolean, "both answers were given under the same text of the policy"),
)
ADJUDICATIONS = Table(
    "adjudications",
    ("seq",),
    seq=Column(pl.Int64, "place in the ledger"),
    iteration=Column(pl.String, "iteration whose queue holds the item"),
    item_id=Column(pl.String, "the item"),
    label=Column(pl.String, "positive, negative or guideline gap"),
    adjudicator=Column(pl.String, "who decided"),
    comment=optional(pl.String, "their remark"),
    policy_version=Column(pl.String, "policy version it was decided under"),
    decided_at=Column(MOMENT, "when they decided"),
    recorded_at=Column(MOMENT, "when the ledger took it"),
)
POLICY_TEXTS = Table(
    "policy_texts",
    ("fingerprint",),
    fingerprint=Column(pl.String, "of the policy section, as votes carry it"),
    version=Column(pl.String, "the version it was called"),
    text_fingerprint=Column(pl.String, "the same for the same text, whatever the version"),
    text=Column(pl.String, "JSON: question, guideline, labels and examples, as raters read them"),
    recorded_at=Column(MOMENT, "when it came on record"),
)
POLICY_GAPS = Table(
    "policy_gaps",
    ("iteration", "item_id"),
    iteration=Column(pl.String, "iteration whose queue asked for it"),
    item_id=Column(pl.String, "the item"),
    text=optional(pl.String, "as shown to raters"),
    reason=Column(pl.String, "why the item was queued"),
    undecided_votes=Column(pl.Int64, "answers 'cannot decide'"),
    **{
        column: Column(pl.Int64, f"those of them for the reason {reason!r}")
        for reason, column in REASON_COLUMNS.items()
    },
    positive_votes=Column(pl.Int64, "votes for positive"),
    negative_votes=Column(pl.Int64, "votes for negative"),
    undecided_raters=Column(pl.List(pl.String), "who could not decide"),
    comments=Column(pl.List(COMMENT), "who said what beside which label, undecided votes first, then by rater"),
    policy_versions=Column(pl.List(pl.String), "those the undecided votes were cast under, or all if none is"),
)
ASK_AGAIN = Table(
    "ask_again",
    ("item_id", "rater"),
    item_id=Column(pl.String, "the item"),
    rater=Column(pl.String, "whose vote it is"),
    label=Column(pl.String, "positive or negative"),
    quality=Column(pl.Float64, "probability of the label after all votes and the model's score, 0 to 1"),
    why=Column(pl.String, "what speaks against it, in words"),
)
GOLD_ACCURACY = Table(
    "gold_accuracy",
    ("iteration", "rater"),
    iteration=Column(pl.String, "iteration whose queue held the gold, or all"),
    rater=Column(pl.String, "who answered"),
    items=Column(pl.Int64, "decisive answers"),
    right=Column(pl.Int64, "those that are right"),
    false_positive=Column(pl.Int64, "positive where the truth is negative"),
    false_negative=Column(pl.Int64, "negative where the truth is positive"),
    undecided=Column(pl.Int64, "answers 'cannot decide', neither right nor wrong"),
    accuracy=optional(pl.Float64, "right / items; null without a decisive answer"),
    low=optional(pl.Float64, "lower end of its Wilson interval"),
    high=optional(pl.Float64, "upper end"),
    reason=optional(pl.String, "why there is no accuracy"),
)
