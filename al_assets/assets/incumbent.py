"""Who labels an iteration, where the loop closes; what it thinks of every item; what LLM-0 teaches students first."""

import dagster as dg
import numpy as np
import polars as pl

from al_assets.agreement.core.kappa import cohen_kappa
from al_assets.agreement.population.thresholds import prevalence_threshold
from al_assets.assets.loop_assets import (
    Declaration,
    TableOutput,
    loop_asset,
    require_previous_iteration,
    table_output,
)
from al_assets.assets.metadata import picture, progress_logger, table
from al_assets.assets.pool import representatives
from al_assets.assets.resource import LoopResource
from al_assets.config import Policy
from al_assets.curation.split import stable_sample
from al_assets.models.incumbent import Incumbent, incumbent_of, kept_scores, open_incumbent, open_student
from al_assets.models.opinions import Opinions, opinions_on_pool
from al_assets.models.students import trained_head_start
from al_assets.models.students.head_start import TeachesNothing, head_start_recipe, head_start_sample
from al_assets.partitions import FIRST_KEY, Job, previous_key
from al_assets.pictures import loss_curve, score_histogram
from al_assets.tables import HEAD_START, INCUMBENT_MODEL, PSEUDO_LABELS

OF_THE_FIRST = dg.AssetIn(partition_mapping=dg.SpecificPartitionsPartitionMapping([FIRST_KEY]))
_FOLLOWED = 1_000
"""Items of the pool on which the head start is held against LLM-0."""


@loop_asset(
    "pool",
    {"model"},
    Declaration(
        INCUMBENT_MODEL,
        Job.CURATE,
        depends_on=lambda policy: [policy.labeler.fingerprint(), policy.policy.fingerprint()],
    ),
)
def incumbent_model(context: dg.AssetExecutionContext, loop: LoopResource) -> TableOutput:
    """The labeler of this iteration: LLM-0 in 0000, later the student of the iteration before if it was promoted."""
    require_previous_iteration(context, loop.root)
    incumbent = incumbent_of(loop.policy, loop.root, context.partition_key)
    return table_output(
        incumbent.frame(),
        {"kind": incumbent.kind, "uri": incumbent.uri, "promoted_from": incumbent.promoted_from or "LLM-0"},
    )


@loop_asset(
    "curation",
    {"model", "polars"},
    Declaration(
        PSEUDO_LABELS, Job.CURATE, algorithm=2, depends_on=lambda policy: [str(policy.policy.expected_prevalence)]
    ),
)
def pseudo_labels(
    context: dg.AssetExecutionContext, loop: LoopResource, incumbent_model: pl.DataFrame, pool: pl.DataFrame
) -> TableOutput:
    """The incumbent's score and label for every item; a killed run resumes and repeats at most one batch."""
    incumbent = Incumbent.of(incumbent_model)
    items = representatives(pool)
    store = loop.root.scores(incumbent.fingerprint)
    with open_incumbent(incumbent, loop.policy, loop.root) as labeler:
        opinions = opinions_on_pool(
            labeler, items["text_hash"].to_list(), items["text"].to_list(), store, progress_logger(context, "labelled")
        )
    frame = _called(items, opinions, incumbent, loop.policy.policy.expected_prevalence)
    scores, labels, threshold = opinions.p_positive, frame["label"].to_numpy(), float(frame["threshold"][0])
    members = {} if opinions.members.is_empty() else {"members": table(opinions.member_table(labels))}
    return table_output(
        frame,
        {
            **members,
            "labeler": incumbent.uri,
            "positive_share": float(labels.mean()),
            "threshold": threshold,
            "threshold_from": "expected prevalence"
            if incumbent.threshold is None
            else f"report of {previous_key(context.partition_key)}",
            "score_histogram": picture(score_histogram(scores, threshold)),
        },
    )


def _called(items: pl.DataFrame, opinions: Opinions, incumbent: Incumbent, expected_prevalence: float) -> pl.DataFrame:
    """Return the scores with labels; a labeler without a threshold of its own calls as many positive as expected."""
    scores, threshold = opinions.p_positive, incumbent.threshold
    if threshold is None:
        threshold = prevalence_threshold(scores, expected_prevalence)
    return pl.DataFrame(
        {
            "item_id": items["item_id"],
            "p_positive": scores,
            "label": scores >= threshold,
            "threshold": threshold,
            "labeler_fingerprint": incumbent.fingerprint,
            "disagreement": opinions.disagreement,
        },
        schema_overrides={"disagreement": pl.Float64},
    )


def _taught_by(policy: Policy) -> list[str]:
    if policy.student.head_start == "none":
        return ["none"]
    return [
        policy.labeler.fingerprint(),
        policy.policy.fingerprint(),
        # How strongly students are held there later changes nothing here.
        str(policy.student.head_start.model_dump(exclude={"strength"})),
        head_start_recipe(policy.student).fingerprint(),
        str(policy.split.seed),
    ]


@loop_asset(
    "learning",
    {"model"},
    Declaration(HEAD_START, Job.LEARN, depends_on=_taught_by),
    ins={"pool": OF_THE_FIRST, "pseudo_labels": OF_THE_FIRST},
    # Its metadata hold it against the first round's labels; it learns from none.
    deps=["label_split"],
)
def head_start(
    context: dg.AssetExecutionContext, loop: LoopResource, pool: pl.DataFrame, pseudo_labels: pl.DataFrame
) -> TableOutput:
    """A student that learnt LLM-0's soft labels on a sample of the first pool and no expert's; trained once for a loop.

    Every iteration, and every backfill, finds it again by LLM-0, sample and recipe. No row where the policy wants none,
    or LLM-0 says the same of all.
    """
    policy, root, student = loop.policy, loop.root, loop.policy.student
    if student.head_start == "none":
        return table_output(HEAD_START.empty(), {"none": "student.head_start is none: all begin from the base model"})
    scored = representatives(pool).select("item_id", "text").join(pseudo_labels, on="item_id", how="left")
    threshold, llm0 = pseudo_labels["threshold"][0], pseudo_labels["labeler_fingerprint"][0]
    sample = head_start_sample(scored, student, threshold, policy.split.seed)
    try:
        frame = trained_head_start(policy, root, sample, llm0, progress_logger(context, "training step", parts=20))
    except TeachesNothing as error:
        said = f"students begin from the base model: {error}"
        context.log.warning(said)
        return table_output(HEAD_START.empty(), {"none": said})
    row = frame.row(0, named=True)
    metadata = {name: row[name] for name in ("uri", "training_items", "positive_items", "left_out", "seconds")}
    if len(row["losses"]) > 1:
        metadata["loss_curve"] = picture(loss_curve(row["steps"], row["losses"]))
    metadata |= _agreement(loop, scored, threshold, row["fingerprint"])
    return table_output(frame, metadata, ignore=("seconds", "uri"))


def _agreement(loop: LoopResource, scored: pl.DataFrame, threshold: float, fingerprint: str) -> dict[str, float | int]:
    """Return how the head start agrees with LLM-0 on items of the pool, and both with the first round's labels.

    Both call as much of the pool positive as LLM-0 does.
    """
    known = scored.filter(pl.col("p_positive").is_finite().fill_null(False))
    looked_at = stable_sample(known["item_id"].to_list(), _FOLLOWED, loop.policy.stopping.seed)
    split = loop.root.read_table("label_split", FIRST_KEY).drop_nulls("label").select("item_id", said="label")
    asked = known.join(split, on="item_id", how="left").filter(
        pl.col("item_id").is_in(looked_at) | pl.col("said").is_not_null()
    )
    with open_student(fingerprint, loop.policy, loop.root) as labeler:
        scores = kept_scores(labeler, asked["text"].to_list(), loop.root.scores(fingerprint))
    in_pool = asked["item_id"].is_in(looked_at).to_numpy()
    first = (asked["p_positive"].to_numpy() >= threshold).astype(np.float64)
    cut = prevalence_threshold(scores[in_pool], float(first[in_pool].mean()))
    called, said = (scores >= cut).astype(np.float64), asked["said"].cast(pl.Float64).to_numpy()
    labelled = ~np.isnan(said)
    figures: dict[str, float | int] = {
        "kappa_with_llm0": float(cohen_kappa(called[in_pool], first[in_pool])),
        "kappa_with_llm0_items": int(in_pool.sum()),
        "first_round_labels": int(labelled.sum()),
    }
    for name, labels in {"head_start": called, "llm0": first}.items():
        kappa = float(cohen_kappa(labels[labelled], said[labelled])) if labelled.any() else float("nan")
        if not np.isnan(kappa):
            figures[f"{name}_kappa_with_first_round"] = kappa
    return figures
