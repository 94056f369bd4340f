"""The tables of a round's second half, from the experts' labels to the report, and where all of it came from."""

import polars as pl

from al_assets.tables.schema import MOMENT, Column, Table, optional

EXPERT_LABELS = Table(
    "expert_labels",
    ("seq",),
    seq=Column(pl.Int64, "place in the ledger"),
    item_id=Column(pl.String, "the item"),
    iteration=Column(pl.String, "iteration whose queue asked for it"),
    rater=Column(pl.String, "who voted"),
    label=Column(pl.String, "positive, negative or undecided; what the student learns from"),
    first_label=Column(
        pl.String,
        "the answer that stood when the loop first read one of this rater's to this item, under the same text of the "
        "policy; what agreement rests on",
    ),
    policy_version=Column(pl.String, "policy version the vote was cast under"),
    voted_at=Column(MOMENT, "when the rater answered"),
    comment=optional(pl.String, "the rater's remark"),
    reason=Column(pl.String, "why the item was queued"),
    pair_id=optional(pl.String, "the boundary pair it belongs to"),
    group_id=Column(pl.String, "pair partners and near-duplicates share it"),
    stratum=optional(pl.String, "audit stratum"),
    stratum_size=optional(pl.Int64, "items of the pool in that stratum"),
    inclusion_probability=optional(pl.Float64, "chance of being queued"),
    adjudicated=optional(
        pl.String,
        "what an adjudicator decided the item to be: positive, negative or guideline gap; null if nobody did",
    ),
    as_of=optional(
        pl.Int64,
        "the same in every row: place in the ledger of the last answer, withdrawal or adjudication taken into "
        "account; the report's watermark",
    ),
)
LABEL_SPLIT = Table(
    "label_split",
    ("item_id",),
    item_id=Column(pl.String, "the item"),
    iteration=Column(pl.String, "iteration that queued it"),
    reason=Column(pl.String, "why it was queued"),
    group_id=Column(pl.String, "never divided between splits, nor between folds"),
    split=Column(pl.String, "evaluation, fine-tuning or panel (evaluation items of iteration 0000)"),
    teaches=Column(pl.Boolean, "whether the student learns from it"),
    fold=optional(
        pl.Int64,
        "the fold it is in with its group: a student that learnt from the other folds judges it; null: the student "
        "itself does, which learnt from nothing of its group",
    ),
    label=optional(
        pl.Boolean,
        "majority of decisive votes, null if tied or undecided; the adjudicated label where the item may teach and "
        "there is one, null for a guideline gap",
    ),
    positive_share=optional(
        pl.Float64,
        "what a student learns: the share of decisive votes that say positive, a tie one half, null without a "
        "decisive vote; 1 or 0 where the item may teach and was adjudicated, null for a guideline gap",
    ),
    positive_votes=Column(pl.Int64, "decisive votes for positive"),
    negative_votes=Column(pl.Int64, "decisive votes for negative"),
    undecided_votes=Column(pl.Int64, "answers 'cannot decide'"),
    adjudicated=optional(
        pl.String, "positive, negative or guideline gap, by the adjudicator; null if nobody adjudicated the item"
    ),
)
_STUDENT = {
    "uri": Column(pl.String, "directory of the saved student"),
    "fingerprint": Column(pl.String, "of the recipe, the base model or head start, and the training data"),
    "kind": Column(pl.String, "sft, encoder or linear"),
    "base_model": Column(pl.String, "what was fine-tuned"),
    "method": Column(pl.String, "full, lora or linear"),
    "data_fingerprint": Column(pl.String, "of the labelled texts it was trained on"),
    "training_items": Column(pl.Int64, "labelled texts it was trained on"),
    "positive_items": Column(pl.Int64, "of them those whose label is above a half"),
    "steps": Column(pl.List(pl.Int64), "optimiser steps at which the loss was logged"),
    "losses": Column(pl.List(pl.Float64), "training loss at those steps"),
    "seconds": Column(pl.Float64, "training time; that of the first training if the checkpoint was reused"),
}
HEAD_START = Table(
    "head_start",
    ("fingerprint",),
    **_STUDENT,
    llm0=Column(pl.String, "fingerprint of LLM-0, whose soft labels it learnt"),
    left_out=Column(pl.Int64, "items of the pool without a score of LLM-0"),
)
SFT_CHECKPOINT = Table(
    "sft_checkpoint",
    ("fingerprint",),
    **_STUDENT,
    head_start=optional(pl.String, "fingerprint of the head start it descends from; null: of the base model"),
    note=Column(pl.String, "why nothing new was learnt from the labels; else empty"),
)
EVALUATION_SCORES = Table(
    "evaluation_scores",
    ("item_id", "role"),
    item_id=Column(pl.String, "the item"),
    role=Column(
        pl.String,
        "evaluation (labelled, and measures), stop_set (random, labelled or not) or out_of_fold (each item that "
        "teaches, where there are folds)",
    ),
    p_student=Column(
        pl.Float64,
        "the new student's score; of a labelled item in a fold that of a student that learnt from the other folds, put "
        "on the scale of the new student's",
    ),
    p_incumbent=optional(
        pl.Float64,
        "the incumbent's score, of an item it learnt from that of the student of other folds; null for out_of_fold",
    ),
    p_recommended=optional(
        pl.Float64,
        "likewise of the model recommended so far; null where that is the incumbent, and for out_of_fold",
    ),
    incumbent_label=optional(pl.Boolean, "the incumbent's label at its own threshold; null for out_of_fold"),
)
_FIGURE = {
    "figure": Column(pl.String, "what was measured, such as model_expert_kappa"),
    "scope": Column(
        pl.String,
        "which items: boundary, audit, control, evaluation, panel, pool or loop; or by what the votes are divided: "
        "all, reason, iteration, policy_version or rater",
    ),
    "estimate": optional(pl.Float64, "the figure; null where it is undefined, with the reason in detail"),
    "low": optional(pl.Float64, "lower end of the 95 % interval"),
    "high": optional(pl.Float64, "upper end"),
    "items": optional(pl.Int64, "items it rests on"),
    "detail": optional(pl.String, "method, or why there is no estimate or no interval"),
}
KAPPA_REPORT = Table(
    "kappa_report",
    ("figure", "scope"),
    **_FIGURE,
    verdict=Column(
        pl.String,
        "continue, parity, plateau, stable, budget spent or guideline problem; the same in every row, as are the "
        "columns after it",
    ),
    verdict_reason=Column(pl.String, "which rule gave the verdict and by what figures"),
    promoted=Column(pl.Boolean, "whether the student selects next, as the incumbent"),
    promotion_reason=Column(pl.String, "by what figures"),
    better=Column(pl.String, "which is surely better in the pool: student, recommended (the model before), undecided"),
    better_reason=Column(pl.String, "by what figures"),
    recommended=Column(pl.String, "the model to take: the iteration whose student it is, or LLM-0"),
    watermark=optional(
        pl.Int64,
        "place in the ledger of the last answer, withdrawal or adjudication the report rests on; null where the "
        "votes came from no ledger",
    ),
)
AGREEMENT_FIGURES = Table(
    "agreement_figures",
    ("scope", "slice", "against", "figure"),
    **_FIGURE,
    slice=optional(pl.String, "which part: a label reason, an iteration, a version, a rater"),
    against=optional(pl.String, "for a rater, whom they are compared with"),
)
REPRESENTATION_PROBE = Table(
    "representation_probe",
    ("sentence",),
    sentence=Column(pl.String, "what the one row means"),
    outcome=optional(pl.String, "head ahead, student ahead or not told apart, by the interval; null without one"),
    reason=optional(pl.String, "why there is no outcome"),
    head_kappa=optional(pl.Float64, "mean kappa with the experts of a linear head on the frozen embedding"),
    head_kappa_low=optional(pl.Float64, "lower end of its 95 % interval"),
    head_kappa_high=optional(pl.Float64, "upper end"),
    student_kappa=optional(pl.Float64, "the same of the student that learnt from the same labels"),
    student_kappa_low=optional(pl.Float64, "lower end of its 95 % interval"),
    student_kappa_high=optional(pl.Float64, "upper end"),
    difference=optional(pl.Float64, "head_kappa - student_kappa"),
    difference_low=optional(pl.Float64, "lower end of its 95 % interval, paired"),
    difference_high=optional(pl.Float64, "upper end"),
    training_items=Column(pl.Int64, "labels that the head learnt from"),
    training_left_out=Column(pl.Int64, "labels of the student whose item has no vector: it has left the pool"),
    evaluation_items=Column(pl.Int64, "evaluation items with two decisive votes, which the kappas rest on"),
    evaluation_left_out=Column(pl.Int64, "such items without a vector, left out for both"),
    prevalence=optional(pl.Float64, "share of the pool taken to be positive; sets both thresholds"),
)
MATERIALIZATIONS = Table(
    "materializations",
    ("asset", "iteration"),
    asset=Column(pl.String, "the asset"),
    iteration=optional(pl.String, "the iteration; null if it is not divided into iterations"),
    materialized_at=optional(MOMENT, "when its own step last ran, null if never"),
    run_id=optional(pl.String, "the run that did it"),
    code_version_then=optional(pl.String, "fingerprint of the settings it was made under"),
    code_version_now=optional(pl.String, "their fingerprint today, null if none is declared"),
    computed_version=optional(pl.String, "version of the contents its own step made"),
    data_version=optional(pl.String, "newest version of its contents, announced by another asset or its own step"),
)
DEPENDENCIES = Table(
    "dependencies",
    ("asset", "iteration", "upstream", "upstream_iteration"),
    asset=Column(pl.String, "the asset"),
    iteration=optional(pl.String, "its iteration; null if it is not divided into iterations"),
    upstream=Column(pl.String, "an asset it is made from"),
    upstream_iteration=optional(pl.String, "the iteration of that; null if it has none"),
    version_then=optional(pl.String, "version of the upstream contents it was made from, null if not recorded"),
    version_now=optional(pl.String, "version of the upstream contents today, comparable with version_then"),
)
