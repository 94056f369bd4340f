"""representation_probe: whether the model, rather than the labels, is the limit."""

import dagster as dg
import polars as pl

from al_assets.agreement.core.labelled_items import labelled_items
from al_assets.agreement.population.student_threshold import choose_threshold
from al_assets.assets.learning import fine_tuning_items
from al_assets.assets.loop_assets import Declaration, TableOutput, loop_asset, table_output
from al_assets.assets.metadata import table
from al_assets.assets.resource import LoopResource
from al_assets.curation.split import FINE_TUNING
from al_assets.models import representation_probe as probing
from al_assets.models.representation_probe import Probe
from al_assets.partitions import Job
from al_assets.storage.pool_frame import design_so_far
from al_assets.storage.root import RunRoot
from al_assets.tables import REPRESENTATION_PROBE

FIGURES = ("head_kappa", "student_kappa", "difference", "difference_low", "difference_high")


@loop_asset(
    "learning",
    {"scikitlearn", "statistics"},
    Declaration(
        REPRESENTATION_PROBE,
        Job.REPORT,
        algorithm=2,
        depends_on=lambda policy: [
            f"{policy.stopping.resamples} resamples, seed {policy.stopping.seed}",
            str(policy.policy.expected_prevalence),
        ],
    ),
)
def representation_probe(
    context: dg.AssetExecutionContext,
    loop: LoopResource,
    expert_labels: pl.DataFrame,
    label_split: pl.DataFrame,
    embeddings: pl.LazyFrame,
    evaluation_scores: pl.DataFrame,
) -> TableOutput:
    """Kappa of a linear head on the frozen embedding, trained on the student's labels, beside the student's.

    If the head is ahead, the student's recipe or base model is the limit, not the labels. Nothing depends on it. What a
    head makes of the student's own hidden states takes a second pass over the model: that is left to a study.
    """
    try:
        found = _probe(loop, context.partition_key, expert_labels, label_split, embeddings, evaluation_scores)
    except Exception as error:
        # A failed run holds up the loop, and no probe is worth that.
        context.log.warning(f"no representation probe: {error}")
        found = Probe.unknown(f"{type(error).__name__}: {error}")
    frame = found.frame()
    numbers = frame.select(FIGURES).row(0, named=True)
    about = [found.sentence, *probing.kinship(loop.policy)]
    return table_output(
        frame,
        {
            "sentence": " ".join(about),
            **{name: value for name, value in numbers.items() if value is not None},
            "training_items": found.training_items,
            "evaluation_items": found.comparison.difference.items,
            "history": table(_history(loop.root, context.partition_key, frame)),
        },
    )


def _history(root: RunRoot, key: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the figures of the earlier iterations and of this one."""
    earlier = [each for each in root.table_keys("representation_probe") if each < key]
    frames = {each: root.read_table("representation_probe", each) for each in earlier} | {key: frame}
    shown = ("training_items", "evaluation_items", *FIGURES, "outcome")
    return pl.concat([each.select(pl.lit(name).alias("iteration"), *shown) for name, each in frames.items()])


def _probe(
    loop: LoopResource,
    key: str,
    votes: pl.DataFrame,
    split: pl.DataFrame,
    embeddings: pl.LazyFrame,
    scores: pl.DataFrame,
) -> Probe:
    lesson, stopping = fine_tuning_items(split).select("item_id", "positive_share"), loop.policy.stopping
    needed = pl.concat([lesson["item_id"], scores["item_id"]]).unique()
    items = labelled_items(votes, split, scores)
    design = design_so_far(loop.root, key)
    return probing.representation_probe(
        embeddings.filter(pl.col("item_id").is_in(needed.implode())).collect(),
        lesson,
        split.filter(pl.col("split") != FINE_TUNING).select("item_id", "fold").drop_nulls(),
        items,
        scores,
        choose_threshold(items, scores, design, loop.policy.policy.expected_prevalence),
        resamples=stopping.resamples,
        seed=stopping.seed,
    )
