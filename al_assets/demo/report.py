"""What the demo found: one table, and the same figures as JSON."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.figures import estimate_of, interval_of
from al_assets.agreement.report import is_promoted, verdict_of
from al_assets.assets.resource import LoopResource
from al_assets.demo.experts import Votes, crowd_votes, expert_votes
from al_assets.demo.truth import Estimate, kappas, votes_of
from al_assets.demo.vader import majority
from al_assets.models.incumbent import Incumbent, open_incumbent
from al_assets.models.scoring import score_texts
from al_assets.models.students import load_student
from al_assets.storage.root import text_hash

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


@dataclass(frozen=True)
class DemoReport:
    """All the demo's figures; kappas are (estimate, low, high) or None where undefined.

    :param unseen_ceiling: expert-expert and crowd-expert kappa on the same never-queued items as model_expert_unseen.
    """

    iterations: list[IterationFigures]
    llm0: dict[str, Kappas]
    unseen_items: int
    unseen_ceiling: Kappas
    wall_s: float = 0.0
    peak_rss_mb: float = 0.0
    experts: str = "simulated: each the median of five real raters (Hutto & Gilbert 2014)"
    settings: dict[str, str] = field(default_factory=dict)

    def measured(self, wall_s: float, peak_rss_mb: float) -> Self:
        """Return the report with what running it took."""
        return replace(self, wall_s=round(wall_s, 1), peak_rss_mb=round(peak_rss_mb))

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def demo_report(loop: LoopResource, texts: pl.DataFrame, iterations: int) -> DemoReport:
    """Read the finished iterations' figures, and measure on the items that were never queued."""
    keys = [key for key in loop.root.table_keys("kappa_report") if int(key) < iterations]
    experts = expert_votes(texts, len(loop.policy.review.raters))
    crowd = crowd_votes(texts, len(loop.policy.review.raters))
    unseen = _unseen_items(loop, keys[0])
    votes, workers = votes_of(unseen["item_id"].to_list(), experts), votes_of(unseen["item_id"].to_list(), crowd)[:, 0]
    models = {"llm0": _llm0_labels(loop, unseen), "crowd": workers}
    models |= {f"student_{key}": _student_labels(loop, key, unseen) for key in keys}
    hidden = kappas(votes, models)
    first = loop.root.read_table("kappa_report", keys[0])
    rows = [_figures(loop, key, experts, crowd, hidden[f"student_{key}"]) for key in keys]
    return DemoReport(
        iterations=rows,
        llm0={
            "kappa": {
                "model_expert_boundary": interval_of(first, "incumbent_expert_kappa", "boundary"),
                "model_expert_audit": interval_of(first, "incumbent_expert_kappa", "audit"),
                "model_expert_unseen": hidden["llm0"],
                "expert_expert": rows[0].kappa["expert_expert"],
                "crowd_expert": rows[0].kappa["crowd_expert"],
            }
        },
        unseen_items=unseen.height,
        unseen_ceiling={"expert_expert": hidden["expert"], "crowd_expert": hidden["crowd"]},
        settings={"labeler": str(loop.policy.labeler.kind), "student": str(loop.policy.student.kind)},
    )


def _figures(loop: LoopResource, key: str, experts: Votes, crowd: Votes, unseen: Estimate | None) -> IterationFigures:
    report = loop.root.read_table("kappa_report", key)
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
            "model_expert_unseen": unseen,
            "expert_expert": interval_of(report, "expert_expert_kappa", "loop"),
            "crowd_expert": agreed["crowd"],
        },
        verdict=": ".join(verdict_of(report)),
        promoted=is_promoted(report),
    )


def _mean(values: NDArray[Any]) -> float:
    return round(float(np.nanmean(np.asarray(values, dtype=float))), 4)


def _unseen_items(loop: LoopResource, key: str) -> pl.DataFrame:
    """Return the pool's items that no iteration queued: the same ones for every model, so that kappas compare."""
    with loop.ledger() as ledger:
        queued = ledger.queue()["item_id"]
    pool = loop.root.read_table("pool", key)
    return pool.filter(pl.col("duplicate_of").is_null() & ~pl.col("item_id").is_in(queued.implode()))


def _llm0_labels(loop: LoopResource, items: pl.DataFrame) -> NDArray[np.float64]:
    incumbent = Incumbent.of(loop.root.read_table("incumbent_model", "0000"))
    threshold = loop.root.read_table("pseudo_labels", "0000")["threshold"][0]
    with open_incumbent(incumbent, loop.policy, loop.root) as labeler:
        return _labels(loop, labeler, incumbent.fingerprint, items, threshold)


def _student_labels(loop: LoopResource, key: str, items: pl.DataFrame) -> NDArray[np.float64]:
    report = loop.root.read_table("kappa_report", key)
    threshold = estimate_of(report, "threshold", "pool")
    fingerprint = loop.root.read_table("sft_checkpoint", key)["fingerprint"][0]
    with load_student(loop.root.local_checkpoint(fingerprint), loop.policy.student, loop.policy) as student:
        return _labels(loop, student, fingerprint, items, threshold)


def _labels(
    loop: LoopResource, labeler: Any, fingerprint: str, items: pl.DataFrame, threshold: float
) -> NDArray[np.float64]:
    hashes = [text_hash(text) for text in items["text"]]
    scores = score_texts(labeler, hashes, items["text"].to_list(), loop.root.scores(fingerprint))
    return (scores >= threshold).astype(np.float64)
