"""How the boundary share should be divided while the labeler is weak: rules compared at equal labels on real texts."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats
from al_assets.curation.checks import CurationError
from al_assets.curation.queue.cold_start import promising_share
from al_assets.curation.strategies.base import Ranked, Strategy
from al_assets.curation.strategies.boundary import BoundaryShare
from al_assets.curation.strategies.by_score import TopScored, UniformRandom
from al_assets.curation.strategies.density import TypiClust
from al_assets.curation.strategies.ranked_pairs import BoundaryPairs
from al_assets.curation.strategies.registry import Mixture
from al_assets.study.loop import ChooseStrategy, LoopSettings, Situation
from al_assets.study.panel import noisy_oracle
from benchmarks.selection.offline_loop import RoundFigures, draw_pool, run_loop

_EARLIER_PRIOR, _EARLIER_NEAR, _MOST = 20, 0.8, 0.5


def by_calibration(situation: Situation) -> Strategy:
    """Divide by what the calibrated scores lead one to expect: the rule of ``cold_start``."""
    return BoundaryShare(promising_share(situation.evidence, situation.target).share)


def by_positive_share(situation: Situation) -> Strategy:
    """Divide by the positive share that the boundary share had so far, the rule before this one.

    With s that share and n its labels: .5 max(0, 1 - s n / (n + 20) / (.8 target)).
    """
    labels = situation.boundary_labels
    evidence = float(labels.sum()) / (len(labels) + _EARLIER_PRIOR)
    return BoundaryShare(_MOST * max(0.0, 1 - evidence / (_EARLIER_NEAR * situation.target)))


def always(strategy: Strategy) -> ChooseStrategy:
    """Return an arm that never looks at the labels."""
    return lambda _: strategy


ARMS: Mapping[str, ChooseStrategy] = {
    "by calibration": by_calibration,
    "by positive share": by_positive_share,
    "pairs only": always(BoundaryShare(0.0)),
    "half top-scored": always(BoundaryShare(0.5)),
    "half typical": always(Mixture(((BoundaryPairs(), 0.5), (Ranked(TypiClust()), 0.5)))),
    "top-scored only": always(Ranked(TopScored())),
    "random": always(UniformRandom()),
}
"""Ways to fill the boundary share; audit and control are the same in all of them."""
BASE = "pairs only"


@dataclass(frozen=True)
class Texts:
    """Embedded, labelled texts and what several first labelers say of them.

    :param vectors: shape (items, dimensions), of length one.
    :param truth: shape (items,).
    :param labelers: by name, p_positive in [0, 1], shape (items,).
    """

    name: str
    vectors: NDArray[np.float32]
    truth: NDArray[np.bool_]
    labelers: Mapping[str, Floats]


def labelled_texts(path: Path, text: str, label: str, model: str, sentence: str, seed: int) -> Texts:
    """Return embedded texts with labels and three first labelers: chance, similarity to a sentence, a noisy oracle.

    :raises CurationError: a row has no such text or label; names the row.
    """
    from sentence_transformers import SentenceTransformer

    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, row in enumerate(rows, start=1):
        if not isinstance(row.get(text), str) or row.get(label) not in (True, False):
            raise CurationError(f"{path}: row {number} has no {text!r}, or a {label!r} that is not true or false")
    embedder = SentenceTransformer(model, device="cpu")
    vectors = embedder.encode([row[text] for row in rows], normalize_embeddings=True, show_progress_bar=False)
    question = embedder.encode([sentence], normalize_embeddings=True, show_progress_bar=False)[0]
    truth = np.array([bool(row[label]) for row in rows])
    labelers = {
        "chance": np.random.default_rng(seed).random(len(rows)),
        "similarity": (vectors @ question + 1) / 2,
        "noisy oracle": noisy_oracle(truth, 0.95, seed),
    }
    return Texts(path.stem, vectors, truth, labelers)


@dataclass(frozen=True)
class Mean:
    """A mean over seeds and the half-width of its 95 % interval (Student's t); None where a single seed has none."""

    mean: float
    half_width: float | None


@dataclass(frozen=True)
class ArmFigures:
    """One way to divide, with one first labeler on one pool.

    :param promising: the part of the boundary share that went to top-scored items, by round.
    :param positive: the positive share of what was picked, by round, and in ``picked`` over all rounds.
    :param average_precision: of the student on held-out items, by round; ``kappa`` likewise.
    :param last: average precision of the last student.
    :param mean_precision: over all rounds, and in ``against_pairs`` its paired difference from the arm "pairs only".
    """

    texts: str
    prevalence: float
    labeler: str
    labeler_auc: float
    arm: str
    seeds: int
    promising: tuple[float, ...]
    positive: tuple[float, ...]
    average_precision: tuple[float, ...]
    kappa: tuple[float, ...]
    picked: Mean
    last: Mean
    last_kappa: Mean
    mean_precision: Mean
    against_pairs: Mean


@dataclass(frozen=True)
class ExpectedShares:
    """How near the positive shares that the curve expects come to those that are found, from the second round on.

    :param kind: what would fill the boundary share: pairs or top-scored items.
    :param rounds: how many were compared, of all arms together.
    :param expected: mean expected positive share; ``found`` the mean true one.
    :param error: root mean square difference of the two.
    :param past_error: the same if the positive share of the boundary labels so far is taken for what to expect.
    """

    texts: str
    prevalence: float
    labeler: str
    kind: str
    rounds: int
    expected: float
    found: float
    error: float
    past_error: float


@dataclass(frozen=True)
class ColdStartBench:
    """The comparison's outcome and everything it was run with."""

    arms: tuple[ArmFigures, ...]
    expected: tuple[ExpectedShares, ...]
    settings: LoopSettings
    items: int
    held_out: int
    seed: int
    seconds: float


def bench_cold_start(
    texts: Sequence[Texts],
    *,
    prevalences: Sequence[float | None] = (None, 0.05),
    arms: Mapping[str, ChooseStrategy] = ARMS,
    settings: LoopSettings | None = None,
    items: int = 3_000,
    held_out: int = 2_000,
    seeds: int = 10,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> ColdStartBench:
    """Run the loop with every arm, first labeler and prevalence, each on the same pools.

    :param prevalences: positive shares to thin the texts to; None leaves them as they are.
    :param seeds: pools, each drawn anew.
    :raises ValueError: fewer than 1 seed, no arm "pairs only" to compare with, or too few texts.
    """
    if seeds < 1 or BASE not in arms:
        raise ValueError(f"seeds {seeds}, arms {', '.join(arms)}: expected at least one seed and the arm {BASE!r}")
    started, settings = time.perf_counter(), settings or LoopSettings()
    figures: list[ArmFigures] = []
    expected: list[ExpectedShares] = []
    for source in texts:
        for prevalence in prevalences:
            for labeler, scores in source.labelers.items():
                progress(f"{source.name}, {labeler}")
                pools = [
                    draw_pool(source.vectors, source.truth, scores, items=items, held_out=held_out,
                              prevalence=prevalence, seed=seed + number)
                    for number in range(seeds)
                ]  # fmt: skip
                loops = {
                    name: [run_loop(pool, arm, settings, seed + number) for number, pool in enumerate(pools)]
                    for name, arm in arms.items()
                }
                share = float(np.mean([pool.truth.mean() for pool in pools]))
                auc = float(np.mean([area_under_curve(pool.scores, pool.truth) for pool in pools]))
                figures += [
                    _figures(source.name, share, labeler, auc, name, own, loops[BASE]) for name, own in loops.items()
                ]
                everything = [loop for own in loops.values() for loop in own]
                expected += [
                    _expected(source.name, share, labeler, kind, everything) for kind in ("pairs", "promising")
                ]
    return ColdStartBench(
        tuple(figures), tuple(expected), settings, items, held_out, seed, time.perf_counter() - started
    )


def area_under_curve(scores: Floats, truth: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve; NaN if all items are of one class."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, scores)) if 0 < truth.sum() < len(truth) else float("nan")


def cold_start_table(bench: ColdStartBench) -> str:
    """Return the figures as a Markdown table, one row for each pool, first labeler and arm."""
    lines = [
        "| texts, positive | LLM-0 (AUC) | arm | promising, first to last round | positives picked | "
        "AP, mean of rounds | against pairs only | AP, last | kappa, last |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {arm.texts}, {arm.prevalence:.0%} | {arm.labeler} ({arm.labeler_auc:.2f}) | {arm.arm} | "
        f"{' '.join(f'{share:.2f}' for share in arm.promising)} | {_said(arm.picked)} | "
        f"{_said(arm.mean_precision)} | {_said(arm.against_pairs, sign=True)} | {_said(arm.last)} | "
        f"{_said(arm.last_kappa)} |"
        for arm in bench.arms
    ]
    return "\n".join(lines)


def _figures(
    texts: str,
    prevalence: float,
    labeler: str,
    auc: float,
    arm: str,
    loops: list[list[RoundFigures]],
    base: list[list[RoundFigures]],
) -> ArmFigures:
    def by_round(name: str) -> NDArray[np.float64]:
        values = [[getattr(each, name) for each in loop] for loop in loops]
        return np.array([[np.nan if value is None else value for value in row] for row in values], dtype=np.float64)

    precision, positive, kappa = (by_round(name) for name in ("average_precision", "positive", "kappa"))
    base_precision = np.array([[each.average_precision for each in loop] for loop in base])
    return ArmFigures(
        texts,
        prevalence,
        labeler,
        auc,
        arm,
        len(loops),
        _rounded(by_round("promising")),
        _rounded(positive),
        _rounded(precision),
        _rounded(kappa),
        mean_of(np.nanmean(positive, axis=1)),
        mean_of(precision[:, -1]),
        mean_of(kappa[:, -1]),
        mean_of(precision.mean(axis=1)),
        mean_of(precision.mean(axis=1) - base_precision.mean(axis=1)),
    )


def _expected(
    texts: str, prevalence: float, labeler: str, kind: str, loops: list[list[RoundFigures]]
) -> ExpectedShares:
    rows = []
    for loop in loops:
        for before, now in enumerate(loop[1:], start=1):
            expected, true_share = getattr(now, f"expected_{kind}"), getattr(now, f"{kind}_positive")
            past = [earlier.positive for earlier in loop[:before] if earlier.positive is not None]
            if expected is not None and true_share is not None and past:
                rows.append((expected, true_share, float(np.mean(past))))
    expectations, truths, pasts = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return ExpectedShares(
        texts,
        prevalence,
        labeler,
        kind,
        len(rows),
        _mean(expectations),
        _mean(truths),
        _mean((expectations - truths) ** 2) ** 0.5,
        _mean((pasts - truths) ** 2) ** 0.5,
    )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def mean_of(values: NDArray[np.float64]) -> Mean:
    """Return the mean over seeds and the half-width of its 95 % interval."""
    from scipy.stats import t

    if len(values) < 2:
        return Mean(round(float(values.mean()), 4), None)
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Mean(round(float(values.mean()), 4), round(half, 4))


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in np.nanmean(values, axis=0))


def _said(value: Mean, *, sign: bool = False) -> str:
    mean = f"{value.mean:+.3f}" if sign else f"{value.mean:.3f}"
    return mean if value.half_width is None else f"{mean} ± {value.half_width:.3f}"
