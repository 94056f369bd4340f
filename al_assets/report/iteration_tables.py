"""What a finished iteration left in the run's tables, read once."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property

import polars as pl

from al_assets.agreement.core.figures import Figure, estimate_of, figures_in
from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.core.labelled_items import LabelledItems, labelled_items
from al_assets.agreement.population.pool_design import PoolDesign
from al_assets.agreement.population.student_threshold import (
    CalibrationRules,
    StudentThreshold,
    choose_threshold,
    student_labels,
)
from al_assets.agreement.report.iteration_report import models_of
from al_assets.agreement.stopping.conclusion import conclusion_of, name_of
from al_assets.config import Policy
from al_assets.curation.queue.hidden import HIDDEN
from al_assets.curation.split import CHECK, MAJORITY
from al_assets.partitions import iteration_number
from al_assets.storage.pool_frame import design_so_far
from al_assets.storage.root import RunRoot

EXAMPLES = ("positive_examples", "negative_examples")
WATERMARK = "last answer, withdrawal or adjudication in the ledger that this report rests on"


@dataclass(frozen=True)
class IterationTables:
    """The tables behind one iteration's report; frames as ``al_assets.tables`` declares them.

    :param policy: the policy as its file stands now.
    :param votes: expert_labels of the iteration: the current votes of all iterations so far.
    :param reports: kappa_report of this and the earlier iterations, by key in order.
    :param earlier_labels: the earlier students' labels by key: item_id, role, label.
    :param texts: item_id and text of the items that were queued, are in the stop set or stand for a region.
    :param overlaps: overlap_map of the iteration; ``typical`` its regions: region, typical_items.
    :param yields: iteration, stage (pool, queue, labels) and positive_share of this and the earlier iterations.
    :param design: how the labelled items came to be asked.
    :param probe: what the representation probe says in a sentence; "" where there is none.
    """

    policy: Policy
    iteration: str
    votes: pl.DataFrame
    split: pl.DataFrame
    scores: pl.DataFrame
    reports: Mapping[str, pl.DataFrame]
    earlier_labels: Mapping[str, pl.DataFrame]
    texts: pl.DataFrame
    yields: pl.DataFrame
    incumbent: pl.DataFrame
    checkpoint: pl.DataFrame
    design: PoolDesign
    overlaps: pl.DataFrame
    typical: pl.DataFrame
    probe: str = ""

    @property
    def report(self) -> pl.DataFrame:
        """The iteration's own report."""
        return self.reports[self.iteration]

    @property
    def threshold(self) -> float:
        """The student's decision threshold."""
        return estimate_of(self.report, "threshold", "pool")

    @property
    def raters(self) -> list[str]:
        """Everybody who voted, in the order of the vote matrix's columns."""
        return [str(rater) for rater in self.votes["rater"].unique().sort()]

    @cached_property
    def items(self) -> LabelledItems:
        """Return the labelled items as the report's figures saw them."""
        return labelled_items(self.votes, self.split, self.scores)

    @cached_property
    def choice(self) -> StudentThreshold:
        """Choose the student's threshold and calibration again, as the policy says now."""
        expected, rules = self.policy.policy.expected_prevalence, calibration_rules(self.policy)
        return choose_threshold(self.items, self.scores, self.design, expected, rules=rules)

    @cached_property
    def models(self) -> dict[str, Floats]:
        """The labels of the compared models on ``items``, as the report's figures saw them."""
        return models_of(self.items, self.choice)


def calibration_rules(policy: Policy) -> CalibrationRules:
    """Return how the policy wants the student calibrated."""
    names = {field.name for field in fields(CalibrationRules)}
    return CalibrationRules(**policy.calibration.model_dump(include=names))


def last_change(votes: pl.DataFrame) -> int:
    """Return the report's watermark: the place in the ledger of the last change of a label, 0 without votes.

    :param votes: expert_labels.
    """
    return int(votes["as_of"][0]) if votes.height else 0


def figures_of(report: pl.DataFrame) -> list[Figure]:
    """Return every figure of a stored report for people, the conclusion's columns as figures of scope loop among them.

    :param report: a frame of the table kappa_report.
    """
    conclusion = conclusion_of(report)
    said = {
        "verdict": f"{conclusion.verdict}: {conclusion.verdict_reason}",
        "better": f"{conclusion.better}: {conclusion.better_reason}; take {name_of(conclusion.recommended)}",
        "promotion": f"{'promote' if conclusion.promoted else 'keep'}: {conclusion.promotion_reason}",
    }
    figures = [replace(figure, detail=said.get(figure.figure, figure.detail)) for figure in figures_in(report)]
    if conclusion.watermark is None:
        return figures
    return [*figures, Figure("watermark", "loop", float(conclusion.watermark), detail=WATERMARK)]


def read_tables(policy: Policy, iteration: str | None = None, *, report: pl.DataFrame | None = None) -> IterationTables:
    """Read an iteration's tables from the run of a policy.

    :param iteration: its key; None for the newest with a report.
    :param report: the iteration's report where it is not stored yet; takes the place of a stored one.
    :raises ValueError: there is no report, or none of that iteration.
    """
    root = RunRoot(policy.root)
    keys = root.table_keys("kappa_report")
    if iteration is not None and report is not None:
        keys = sorted({*keys, iteration})
    if not keys:
        raise ValueError(f"report: no iteration under {root.base} has a kappa_report yet; materialize one first")
    key = keys[-1] if iteration is None else iteration
    iteration_number(key)
    if key not in keys:
        raise ValueError(f"iteration: {key} has no kappa_report; there are reports of {', '.join(keys)}")
    past = [past_key for past_key in keys if past_key <= key]
    given = {} if report is None else {key: report}
    reports = {
        past_key: given[past_key] if past_key in given else root.read_table("kappa_report", past_key)
        for past_key in past
    }
    scores = {past_key: root.read_table("evaluation_scores", past_key) for past_key in past}
    overlaps = root.read_table("overlap_map", key)
    typical = root.read_table("regions", key).select("region", "typical_items")
    return IterationTables(
        policy=policy,
        iteration=key,
        votes=root.read_table("expert_labels", key),
        split=root.read_table("label_split", key),
        scores=scores[key],
        reports=reports,
        earlier_labels={
            past_key: student_labels(scores[past_key], estimate_of(reports[past_key], "threshold", "pool"))
            for past_key in past[:-1]
        },
        texts=_texts(root, past, scores[key], [*(overlaps[name] for name in EXAMPLES), typical["typical_items"]]),
        yields=pl.concat([_yield(root, past_key) for past_key in past]),
        incumbent=root.read_table("incumbent_model", key),
        checkpoint=root.read_table("sft_checkpoint", key),
        design=design_so_far(root, key),
        overlaps=overlaps,
        typical=typical,
        probe=_probe(root, key),
    )


def _probe(root: RunRoot, key: str) -> str:
    if key not in root.table_keys("representation_probe"):
        return ""
    return str(root.read_table("representation_probe", key)["sentence"][0])


def _texts(root: RunRoot, keys: list[str], scores: pl.DataFrame, examples: list[pl.Series]) -> pl.DataFrame:
    checked = set(root.table_keys("check_queue"))
    queued = [
        root.read_table(name, past_key).select("item_id", "text")
        for past_key in keys
        for name in ("review_queue", *(["check_queue"] if past_key in checked else []))
    ]
    stop_set = scores.filter(pl.col("role") == "stop_set").select("item_id")
    shown = [column.explode(empty_as_null=False).to_frame("item_id") for column in examples]
    wanted = pl.concat([stop_set, *shown]).unique()
    pool = root.read_table("pool", keys[-1]).select("item_id", "text").join(wanted, on="item_id", how="semi")
    # What the raters were shown comes first: a text of the pool may have been edited since.
    return pl.concat([*queued, pool]).unique("item_id", keep="first", maintain_order=True)


def _yield(root: RunRoot, key: str) -> pl.DataFrame:
    """Return the positive share of pool and queue by the incumbent's word and of the new labels by the experts'.

    Check items are asked to measure, after the queue is answered, and are left out.
    """
    called = root.read_table("pseudo_labels", key).select("item_id", "label")
    asked = root.read_table("review_queue", key).filter(~pl.col("reason").is_in(HIDDEN))
    queue = asked.select("item_id").join(called, on="item_id")
    answered = root.read_table("label_split", key).filter(pl.col("iteration") == key, pl.col("reason") != CHECK)
    # Majorities throughout, as in the mart of the same name, whatever was adjudicated for the student.
    majorities = answered.select(MAJORITY.alias("label"))["label"].drop_nulls()
    stages = {"pool": called["label"], "queue": queue["label"], "labels": majorities}
    return pl.DataFrame(
        {
            "iteration": [key] * len(stages),
            "stage": list(stages),
            "items": [len(labels) for labels in stages.values()],
            "positive_share": [labels.mean() for labels in stages.values()],
        },
        schema_overrides={"positive_share": pl.Float64},
    )
