"""head_start: what every student of the loop begins from, taught by LLM-0 once."""

import dagster as dg
import numpy as np
import polars as pl

from al_assets.agreement.core.kappa import cohen_kappa
from al_assets.agreement.population.thresholds import prevalence_threshold
from al_assets.assets.loop_assets import Declaration, TableOutput, loop_asset, table_output
from al_assets.assets.metadata import picture, progress_logger
from al_assets.assets.pool import representatives
from al_assets.assets.resource import LoopResource
from al_assets.config import Policy
from al_assets.curation.split import stable_sample
from al_assets.models.incumbent import open_student
from al_assets.models.scoring import score_texts
from al_assets.models.students import trained_head_start
from al_assets.models.students.head_start import head_start_recipe, head_start_sample
from al_assets.partitions import FIRST_KEY, Job
from al_assets.pictures import loss_curve
from al_assets.storage.root import text_hash
from al_assets.tables import HEAD_START

OF_THE_FIRST = dg.AssetIn(partition_mapping=dg.SpecificPartitionsPartitionMapping([FIRST_KEY]))
_FOLLOWED = 1_000
"""Items of the pool on which the head start is held against LLM-0."""


def _taught_by(policy: Policy) -> list[str]:
    if policy.student.head_start == "none":
        return ["none"]
    return [
        policy.labeler.fingerprint(),
        policy.policy.fingerprint(),
        policy.student.head_start.fingerprint(),
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

    Every iteration, and every backfill, finds it again by LLM-0, sample and recipe. No row where the policy wants none.
    """
    policy, root, student = loop.policy, loop.root, loop.policy.student
    if student.head_start == "none":
        return table_output(HEAD_START.empty(), {"none": "student.head_start is none: all begin from the base model"})
    scored = representatives(pool).select("item_id", "text").join(pseudo_labels, on="item_id", how="left")
    threshold, llm0 = pseudo_labels["threshold"][0], pseudo_labels["labeler_fingerprint"][0]
    sample = head_start_sample(scored, student, threshold, policy.split.seed)
    frame = trained_head_start(policy, root, sample, llm0, progress_logger(context, "training step", parts=20))
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
    texts = asked["text"].to_list()
    with open_student(fingerprint, loop.policy, loop.root) as labeler:
        scores = score_texts(labeler, [text_hash(text) for text in texts], texts, loop.root.scores(fingerprint))
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
