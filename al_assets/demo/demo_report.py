"""What the demo came to: the loop's figures, and agreement on items whose labels only a simulation knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import grouped_distributions
from al_assets.agreement.core.figures import estimate_of, interval_of
from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.population.thresholds import prevalence_threshold
from al_assets.agreement.stopping.conclusion import conclusion_of, name_of
from al_assets.assets.resource import LoopResource
from al_assets.curation.split import stable_sample
from al_assets.demo.vader import Votes, crowd_votes, expert_votes, majority
from al_assets.formatting import kappa_text
from al_assets.models.incumbent import Incumbent, kept_scores, open_incumbent, open_student
from al_assets.report.html_page import Appendix

UNSEEN_ITEMS = 600
"""Of the pool items that were never queued, how many are measured on; which ones depends on their ids alone."""
Estimate = tuple[float, float, float]
Labels = NDArray[np.float64]
Kappas = dict[str, Estimate | None]


@dataclass(frozen=True)
class IterationFigures:
    """One row of the demo's table."""

    iteration: str
    labels: int
    positive_share: dict[str, float]
    kappa: Kappas
    verdict: str
    promoted: bool
    recommended: str


@dataclass(frozen=True)
class HiddenSet:
    """Items whose labels only a simulation knows, and how far people agree on them."""

    items: int
    expert_expert: Estimate | None
    crowd_expert: Estimate | None


@dataclass(frozen=True)
class DemoReport:
    """All the demo's figures; kappas are (estimate, low, high) or None where undefined.

    Two sets of items have labels that no loop could know. ``unseen``: the pool's items that were never queued; the
    more positives the queue finds, the rarer and harder are those left. ``held_out``: texts that never were in the
    pool, the same for every selection.

    :param head_start: of the student that LLM-0 taught, before any label, on the hidden sets.
    :param unseen: number of items, expert-expert and crowd-expert kappa on them; so held_out.
    """

    iterations: list[IterationFigures]
    llm0: dict[str, Kappas]
    head_start: dict[str, Kappas]
    unseen: HiddenSet
    held_out: HiddenSet
    wall_s: float = 0.0
    peak_rss_mb: float = 0.0
    experts: str = "simulated: each the median of five real raters (Hutto & Gilbert 2014)"
    student: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    def appendix(self) -> Appendix:
        """Return the whole table of the demo."""
        before = {"LLM-0": self.llm0["kappa"], "student taught by LLM-0": self.head_start["kappa"]}
        rows = [_row(name, 0, {}, kappa) for name, kappa in before.items()]
        rows += [_row(each.iteration, each.labels, each.positive_share, each.kappa) for each in self.iterations]
        hidden = (
            ("pool items that were never queued (unseen)", self.unseen),
            ("texts that never were in the pool (held out)", self.held_out),
        )
        notes = [f"Experts are {self.experts}."]
        notes += [
            f"On {found.items} {which} the experts agree with one another at {kappa_text(found.expert_expert)}, a "
            f"crowd worker with them at {kappa_text(found.crowd_expert)}. Only a simulation knows these labels."
            for which, found in hidden
        ]
        notes += [
            f"{row.iteration}: {row.verdict}; the student {'selects' if row.promoted else 'does not select'} next; the "
            f"model to take is {row.recommended}."
            for row in self.iterations
        ]
        return Appendix("The demo: kappa with the experts, and its 95 % interval", rows, notes)


_COLUMNS = {
    "model, boundary": "model_expert_boundary",
    "model, pool": "model_expert_audit",
    "model, unseen": "model_expert_unseen",
    "model, held out": "model_expert_held_out",
    "expert with expert": "expert_expert",
    "crowd with expert": "crowd_expert",
}


def _row(name: str, labels: int, share: Mapping[str, float], kappa: Kappas) -> dict[str, str]:
    positive = {f"% positive, {of}": f"{100 * share[of]:.0f}" if share else "" for of in ("pool", "queue", "labels")}
    return {"model": name, "labels": str(labels)} | positive | {
        column: kappa_text(kappa[key]) if key in kappa else "" for column, key in _COLUMNS.items()
    }  # fmt: skip


def demo_report(loop: LoopResource, texts: pl.DataFrame, held_out: pl.DataFrame, iterations: int) -> DemoReport:
    """Read the finished iterations' figures, and measure on items whose labels the loop never saw.

    :param texts: the pool with its ratings.
    :param held_out: texts with ratings that are not in the pool.
    """
    keys = [key for key in loop.root.table_keys("kappa_report") if int(key) < iterations]
    experts = expert_votes(texts, len(loop.policy.review.raters))
    crowd = crowd_votes(texts, len(loop.policy.review.raters))
    hidden = (_unseen_texts(loop, keys[0], texts), held_out)
    labels = {f"student_{key}": _student_labels(loop, key, hidden) for key in keys}
    labels["llm0"] = _llm0_labels(loop, hidden)
    labels |= _head_start_labels(loop, hidden)
    unseen, outside = (
        _hidden_kappas(loop, items, {name: by_set[place] for name, by_set in labels.items()})
        for place, items in enumerate(hidden)
    )
    first = loop.root.read_table("kappa_report", keys[0])
    rows = [_figures(loop, key, experts, crowd, (unseen[f"student_{key}"], outside[f"student_{key}"])) for key in keys]
    return DemoReport(
        iterations=rows,
        llm0={
            "kappa": {
                "model_expert_boundary": interval_of(first, "incumbent_expert_kappa", "boundary"),
                "model_expert_audit": interval_of(first, "incumbent_expert_kappa", "audit"),
                "model_expert_unseen": unseen["llm0"],
                "model_expert_held_out": outside["llm0"],
                "expert_expert": rows[0].kappa["expert_expert"],
                "crowd_expert": rows[0].kappa["crowd_expert"],
            }
        },
        head_start={
            "kappa": {
                "model_expert_unseen": unseen.get("head_start"),
                "model_expert_held_out": outside.get("head_start"),
            }
        },
        unseen=HiddenSet(hidden[0].height, unseen["expert"], unseen["crowd"]),
        held_out=HiddenSet(held_out.height, outside["expert"], outside["crowd"]),
        student=str(loop.policy.student.kind),
        settings={"labeler": str(loop.policy.labeler.kind), "student": str(loop.policy.student.kind)},
    )


def _hidden_kappas(loop: LoopResource, texts: pl.DataFrame, labels: Mapping[str, Labels]) -> Kappas:
    """Return everybody's kappa with the experts on the same texts, so that the figures compare."""
    raters, items = len(loop.policy.review.raters), texts["item_id"].to_list()
    crowd = votes_of(items, crowd_votes(texts, raters))[:, 0]
    return kappas(votes_of(items, expert_votes(texts, raters)), {**labels, "crowd": crowd})


def _figures(
    loop: LoopResource, key: str, experts: Votes, crowd: Votes, hidden: tuple[Estimate | None, Estimate | None]
) -> IterationFigures:
    report = loop.root.read_table("kappa_report", key)
    conclusion = conclusion_of(report)
    split = loop.root.read_table("label_split", key)
    labelled = split["item_id"].to_list()
    agreed = kappas(votes_of(labelled, experts), {"crowd": votes_of(labelled, crowd)[:, 0]})
    newest = split.filter(pl.col("iteration") == key)["label"]
    return IterationFigures(
        iteration=key,
        labels=split.height,
        positive_share={
            "pool": _mean(majority(np.stack(list(experts.values())))),
            "queue": _mean(newest.to_numpy()),
            "labels": _mean(split["label"].to_numpy()),
        },
        kappa={
            "model_expert_boundary": interval_of(report, "model_expert_kappa", "boundary"),
            "model_expert_audit": interval_of(report, "model_expert_kappa", "audit"),
            "model_expert_unseen": hidden[0],
            "model_expert_held_out": hidden[1],
            "expert_expert": interval_of(report, "expert_expert_kappa", "loop"),
            "crowd_expert": agreed["crowd"],
        },
        verdict=f"{conclusion.verdict}: {conclusion.verdict_reason}",
        promoted=conclusion.promoted,
        recommended=name_of(conclusion.recommended),
    )


def _mean(values: NDArray[Any]) -> float:
    return round(float(np.nanmean(np.asarray(values, dtype=float))), 4)


def _unseen_texts(loop: LoopResource, key: str, texts: pl.DataFrame) -> pl.DataFrame:
    """Return some of the pool's items, near-duplicates aside, that no iteration queued."""
    with loop.ledger() as ledger:
        queued = ledger.queue().select("item_id")
    eligible = loop.root.read_table("pool", key).filter(pl.col("duplicate_of").is_null()).select("item_id")
    never = texts.join(eligible, on="item_id", how="semi").join(queued, on="item_id", how="anti")
    return never.filter(pl.col("item_id").is_in(stable_sample(never["item_id"].to_list(), UNSEEN_ITEMS, 0)))


def _llm0_labels(loop: LoopResource, sets: Sequence[pl.DataFrame]) -> list[Labels]:
    incumbent = Incumbent.of(loop.root.read_table("incumbent_model", "0000"))
    threshold = loop.root.read_table("pseudo_labels", "0000")["threshold"][0]
    with open_incumbent(incumbent, loop.policy, loop.root) as labeler:
        return [_labels(loop, labeler, incumbent.fingerprint, items, threshold) for items in sets]


def _student_labels(loop: LoopResource, key: str, sets: Sequence[pl.DataFrame]) -> list[Labels]:
    report = loop.root.read_table("kappa_report", key)
    threshold = estimate_of(report, "threshold", "pool")
    fingerprint = loop.root.read_table("sft_checkpoint", key)["fingerprint"][0]
    with open_student(fingerprint, loop.policy, loop.root) as student:
        return [_labels(loop, student, fingerprint, items, threshold) for items in sets]


def _head_start_labels(loop: LoopResource, sets: Sequence[pl.DataFrame]) -> dict[str, list[Labels]]:
    """Return what the student says that LLM-0 taught, calling as much of the stop set positive as was expected."""
    found = loop.root.read_table("head_start", "0000")
    if found.is_empty():
        return {}
    fingerprint = found["fingerprint"][0]
    stop_set = loop.root.read_table("evaluation_scores", "0000").filter(role="stop_set").select("item_id")
    texts = stop_set.join(loop.root.read_table("pool", "0000"), on="item_id")["text"].to_list()
    with open_student(fingerprint, loop.policy, loop.root) as student:
        scores = kept_scores(student, texts, loop.root.scores(fingerprint))
        threshold = prevalence_threshold(scores, loop.policy.policy.expected_prevalence)
        return {"head_start": [_labels(loop, student, fingerprint, items, threshold) for items in sets]}


def _labels(loop: LoopResource, labeler: Any, fingerprint: str, items: pl.DataFrame, threshold: float) -> Labels:
    scores = kept_scores(labeler, items["text"].to_list(), loop.root.scores(fingerprint))
    return (scores >= threshold).astype(np.float64)


def kappas(
    votes: Floats, models: Mapping[str, Labels], *, resamples: int = 2_000, seed: int = 0
) -> dict[str, Estimate | None]:
    """Return the mean kappa of each model with each expert, and of the experts among themselves as ``expert``.

    :param votes: shape (items, experts); 1, 0, NaN where an expert did not answer.
    :param models: by name, labels of shape (items,); NaN where there is none.
    :return: (estimate, low, high) with the 95 % interval; None where kappa is undefined.
    """
    panel = Panel(votes, models)
    wanted = {"expert": "expert_expert_kappa", **{name: f"{name}_expert_kappa" for name in models}}

    def statistics(weights: Floats) -> dict[str, Floats]:
        figures = panel.figures(weights)
        return {name: figures[figure] for name, figure in wanted.items()}

    distributions = grouped_distributions(statistics, np.arange(len(votes)), resamples=resamples, seed=seed)
    intervals = {name: distribution.interval(len(votes)) for name, distribution in distributions.items()}
    return {
        name: None if found.estimate is None or found.low is None or found.high is None
        else (found.estimate, found.low, found.high)
        for name, found in intervals.items()
    }  # fmt: skip


def votes_of(items: Sequence[str], votes: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the votes on the items, shape (items, raters)."""
    return np.stack([votes[item] for item in items])
