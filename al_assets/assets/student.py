"""sft_checkpoint: a small model fine-tuned on all labels so far, always from its base model."""

import dagster as dg
import polars as pl

from al_assets.assets.metadata import picture, progress_logger
from al_assets.assets.partitioned import TableOutput, loop_asset, table_output
from al_assets.assets.resource import LoopResource
from al_assets.curation.split import FINE_TUNING
from al_assets.models.students.checkpoints import Lesson, trained_checkpoint
from al_assets.pictures import loss_curve


@loop_asset("learning", {"huggingface", "model"})
def sft_checkpoint(context: dg.AssetExecutionContext, loop: LoopResource, label_split: pl.DataFrame) -> TableOutput:
    """The student. The same labels and recipe find the same checkpoint again instead of training it twice."""
    lesson = lesson_of(loop, fine_tuning_items(label_split))
    frame = trained_checkpoint(loop.policy, loop.root, lesson, progress_logger(context, "training step", parts=20))
    row = frame.row(0, named=True)
    metadata = {name: row[name] for name in ("uri", "training_items", "positive_items", "seconds")}
    if row["losses"]:
        metadata["loss_curve"] = picture(loss_curve(row["steps"], row["losses"]))
    return table_output(frame, metadata, ignore=("seconds", "uri"))


def fine_tuning_items(label_split: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the items the student learns from, in the order of their ids."""
    return label_split.filter((pl.col("split") == FINE_TUNING) & pl.col("label").is_not_null()).sort("item_id")


def lesson_of(loop: LoopResource, items: pl.DataFrame) -> Lesson:
    """Return labelled items (item_id, label) with the texts that the experts were shown."""
    with loop.ledger() as ledger:
        texts = dict(ledger.queue().select("item_id", "text").iter_rows())
    return Lesson(tuple(items["item_id"]), tuple(texts[item] for item in items["item_id"]), tuple(items["label"]))
