"""The tables of a round's second half, from the experts' labels to the report, and where all of it came from."""

import polars as pl

from al_assets.tables.schema import Column, Table

EXPERT_LABELS = Table(
    "expert_labels",
    ("seq",),
    {
        "seq": Column(pl.Int64, "place in the ledger"),
        "item_id": Column(pl.String, "the item"),
        "iteration": Column(pl.String, "iteration whose queue asked for it"),
        "rater": Column(pl.String, "who voted"),
        "label": Column(pl.String, "positive, negative or undecided"),
        "policy_version": Column(pl.String, "policy version the vote was cast under"),
        "voted_at": Column(pl.Datetime("us", "UTC"), "when the rater answered"),
        "comment": Column(pl.String, "the rater's remark", nullable=True),
        "reason": Column(pl.String, "why the item was queued"),
        "pair_id": Column(pl.String, "the boundary pair it belongs to", nullable=True),
        "group_id": Column(pl.String, "pair partners and near-duplicates share it"),
        "stratum": Column(pl.String, "audit stratum", nullable=True),
        "stratum_size": Column(pl.Int64, "items of the pool in that stratum", nullable=True),
        "inclusion_probability": Column(pl.Float64, "chance of being queued", nullable=True),
        "adjudicated": Column(
            pl.String,
            "what an adjudicator decided the item to be: positive, negative or guideline gap; null if nobody did",
            nullable=True,
        ),
        "as_of": Column(
            pl.Int64,
            "the same in every row: place in the ledger of the last answer, withdrawal or adjudication taken into "
            "account; the report's watermark",
            nullable=True,
        ),
    },
)
LABEL_SPLIT = Table(
    "label_split",
    ("item_id",),
    {
        "item_id": Column(pl.String, "the item"),
        "iteration": Column(pl.String, "iteration that queued it"),
        "reason": Column(pl.String, "why it was queued"),
        "group_id": Column(pl.String, "never divided between splits"),
        "split": Column(pl.String, "evaluation, fine-tuning or panel (evaluation items of iteration 0000)"),
        "label": Column(
            pl.Boolean,
            "majority of decisive votes, null if tied or undecided; in fine-tuning the adjudicated label where there "
            "is one, null for a guideline gap",
            nullable=True,
        ),
        "positive_votes": Column(pl.Int64, "decisive votes for positive"),
        "negative_votes": Column(pl.Int64, "decisive votes for negative"),
        "undecided_votes": Column(pl.Int64, "answers 'cannot decide'"),
        "adjudicated": Column(
            pl.String,
            "positive, negative or guideline gap, by the adjudicator; null if nobody adjudicated the item",
            nullable=True,
        ),
    },
)
SFT_CHECKPOINT = Table(
    "sft_checkpoint",
    ("fingerprint",),
    {
        "uri": Column(pl.String, "directory of the saved student"),
        "fingerprint": Column(pl.String, "of the recipe, the base model and the training data"),
        "kind": Column(pl.String, "sft or linear"),
        "base_model": Column(pl.String, "what was fine-tuned"),
        "method": Column(pl.String, "full, lora or linear"),
        "data_fingerprint": Column(pl.String, "of the labelled texts it was trained on"),
        "training_items": Column(pl.Int64, "labelled texts it was trained on"),
        "positive_items": Column(pl.Int64, "of them positive"),
        "steps": Column(pl.List(pl.Int64), "optimiser steps at which the loss was logged"),
        "losses": Column(pl.List(pl.Float64), "training loss at those steps"),
        "seconds": Column(pl.Float64, "training time; that of the first training if the checkpoint was reused"),
    },
)
EVALUATION_SCORES = Table(
    "evaluation_scores",
    ("item_id", "role"),
    {
        "item_id": Column(pl.String, "the item"),
        "role": Column(
            pl.String,
            "evaluation (labelled, never trained on), stop_set (random, unlabelled) or out_of_fold (fine-tuning item)",
        ),
        "p_student": Column(
            pl.Float64, "the new student's score; out_of_fold: that of a student trained on the other folds"
        ),
        "p_incumbent": Column(pl.Float64, "the incumbent's score; null for out_of_fold", nullable=True),
        "incumbent_label": Column(
            pl.Boolean, "the incumbent's label at its own threshold; null for out_of_fold", nullable=True
        ),
    },
)
_FIGURE = {
    "figure": Column(pl.String, "what was measured, such as model_expert_kappa"),
    "scope": Column(
        pl.String,
        "which items: boundary, audit, control, evaluation, panel, pool or loop; or by what the votes are divided: "
        "all, reason, iteration, policy_version or rater",
    ),
    "estimate": Column(pl.Float64, "the figure; null where it is undefined, with the reason in detail", nullable=True),
    "low": Column(pl.Float64, "lower end of the 95 % interval", nullable=True),
    "high": Column(pl.Float64, "upper end", nullable=True),
    "items": Column(pl.Int64, "items it rests on", nullable=True),
    "detail": Column(pl.String, "method, or why there is no estimate or no interval", nullable=True),
}
KAPPA_REPORT = Table(
    "kappa_report",
    ("figure", "scope"),
    {
        **_FIGURE,
        "verdict": Column(
            pl.String,
            "continue, parity, plateau, stable, budget spent or guideline problem; the same in every row, as are the "
            "columns after it",
        ),
        "verdict_reason": Column(pl.String, "which rule gave the verdict and by what figures"),
        "promoted": Column(pl.Boolean, "whether the student becomes the incumbent"),
        "promotion_reason": Column(pl.String, "by what figures"),
        "watermark": Column(
            pl.Int64,
            "place in the ledger of the last answer, withdrawal or adjudication the report rests on; null where the "
            "votes came from no ledger",
            nullable=True,
        ),
    },
)
AGREEMENT_FIGURES = Table(
    "agreement_figures",
    ("scope", "slice", "against", "figure"),
    {
        **_FIGURE,
        "slice": Column(pl.String, "which part: a label reason, an iteration, a version, a rater", nullable=True),
        "against": Column(pl.String, "for a rater, whom they are compared with", nullable=True),
    },
)
REPRESENTATION_PROBE = Table(
    "representation_probe",
    ("sentence",),
    {
        "sentence": Column(pl.String, "what the one row means"),
        "outcome": Column(
            pl.String, "head ahead, student ahead or not told apart, by the interval; null without one", nullable=True
        ),
        "reason": Column(pl.String, "why there is no outcome", nullable=True),
        "head_kappa": Column(
            pl.Float64, "mean kappa with the experts of a linear head on the frozen embedding", nullable=True
        ),
        "head_kappa_low": Column(pl.Float64, "lower end of its 95 % interval", nullable=True),
        "head_kappa_high": Column(pl.Float64, "upper end", nullable=True),
        "student_kappa": Column(pl.Float64, "the same of the student that learnt from the same labels", nullable=True),
        "student_kappa_low": Column(pl.Float64, "lower end of its 95 % interval", nullable=True),
        "student_kappa_high": Column(pl.Float64, "upper end", nullable=True),
        "difference": Column(pl.Float64, "head_kappa - student_kappa", nullable=True),
        "difference_low": Column(pl.Float64, "lower end of its 95 % interval, paired", nullable=True),
        "difference_high": Column(pl.Float64, "upper end", nullable=True),
        "training_items": Column(pl.Int64, "labels that the head learnt from"),
        "training_left_out": Column(pl.Int64, "labels of the student whose item has no vector: it has left the pool"),
        "evaluation_items": Column(pl.Int64, "evaluation items with two decisive votes, which the kappas rest on"),
        "evaluation_left_out": Column(pl.Int64, "such items without a vector, left out for both"),
        "prevalence": Column(pl.Float64, "share of the pool taken to be positive; sets both thresholds", nullable=True),
    },
)
MATERIALIZATIONS = Table(
    "materializations",
    ("asset", "iteration"),
    {
        "asset": Column(pl.String, "the asset"),
        "iteration": Column(pl.String, "the iteration; null if it is not divided into iterations", nullable=True),
        "materialized_at": Column(pl.Datetime("us", "UTC"), "when its own step last ran, null if never", nullable=True),
        "run_id": Column(pl.String, "the run that did it", nullable=True),
        "code_version_then": Column(pl.String, "fingerprint of the settings it was made under", nullable=True),
        "code_version_now": Column(pl.String, "their fingerprint today, null if none is declared", nullable=True),
        "computed_version": Column(pl.String, "version of the contents its own step made", nullable=True),
        "data_version": Column(pl.String, "newest version of its contents, announced by another asset or its own step",
                               nullable=True),
    },
)  # fmt: skip
DEPENDENCIES = Table(
    "dependencies",
    ("asset", "iteration", "upstream", "upstream_iteration"),
    {
        "asset": Column(pl.String, "the asset"),
        "iteration": Column(pl.String, "its iteration; null if it is not divided into iterations", nullable=True),
        "upstream": Column(pl.String, "an asset it is made from"),
        "upstream_iteration": Column(pl.String, "the iteration of that; null if it has none", nullable=True),
        "version_then": Column(pl.String, "version of the upstream contents it was made from, null if not recorded",
                               nullable=True),
        "version_now": Column(pl.String, "version of the upstream contents today, comparable with version_then",
                              nullable=True),
    },
)  # fmt: skip
