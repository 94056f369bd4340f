"""How far raters agree, by the functions of the kappa report and of `al raters`, and what the loop's reports say."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from al_assets.agreement.core.bootstrap import Resampling
from al_assets.agreement.core.figures import Figure, figure_of, figures_in
from al_assets.agreement.raters.gold_accuracy import ALL
from al_assets.agreement.raters.rated_items import rated_items
from al_assets.agreement.raters.slices import OTHERS, comparison_rows
from al_assets.agreement.report.scopes import expert_scope
from al_assets.agreement.stopping.conclusion import Conclusion, conclusion_of
from al_assets.config import Policy
from al_assets.review.hidden_items import GoldError, rater_quality
from al_assets.storage.ledger import Ledger
from al_assets.storage.root import RunRoot

SHOWN = ("expert_expert_kappa", "krippendorff_alpha", "observed_agreement", "positive_agreement", "undecided_share")


@dataclass(frozen=True)
class RaterFigures:
    """What is known of one rater over all iterations; None where nothing is."""

    rater: str
    gold: Figure | None
    retest: Figure | None
    others: Figure | None


@dataclass(frozen=True)
class FinishedIteration:
    """What the report of an iteration says."""

    iteration: str
    labels: int | None
    model: Figure | None
    experts: Figure | None
    conclusion: Conclusion


@dataclass(frozen=True)
class LoopSoFar:
    """The loop so far.

    :param waits_for: a sentence; "" where the desk does not know the loop.
    :param problem: why something could not be read; "" if all could.
    """

    waits_for: str
    finished: list[FinishedIteration]
    problem: str


def agreement_of(votes: pl.DataFrame, policy: Policy) -> dict[str, Figure]:
    """Return the figures of ``SHOWN`` for some votes, computed as scope ``loop`` of the kappa report.

    :param votes: of ``Ledger.expert_labels``.
    """
    items = rated_items(votes).items
    scope = expert_scope("loop", items, resamples=policy.stopping.resamples, seed=policy.stopping.seed)
    figures = {figure.figure: figure for figure in scope.figures()}
    return {name: figures[name] for name in SHOWN if name in figures}


def raters_of(ledger: Ledger, policy: Policy, watermark: int) -> tuple[list[RaterFigures], str]:
    """Return each rater's figures as of a place in the ledger, over all iterations.

    The text says why hidden gold could not be read; it is "" if it could.
    """
    problem = ""
    try:
        quality = rater_quality(ledger, policy, watermark=watermark)
        gold, retest = quality.gold.filter(iteration=ALL), quality.retest
    except GoldError as error:
        gold, retest, problem = pl.DataFrame(), pl.DataFrame(), str(error)
    how = Resampling(policy.stopping.resamples, policy.stopping.seed)
    others = {
        str(figure.slice): figure
        for figure in comparison_rows(rated_items(ledger.expert_labels(watermark=watermark)), None, how)
        if figure.against == OTHERS
    }
    by_gold = {
        row["rater"]: Figure("gold", "rater", row["accuracy"], row["low"], row["high"], row["items"], row["reason"])
        for row in gold.iter_rows(named=True)
    }
    by_retest = {
        str(figure.slice): figure
        for figure in figures_in(retest)
        if figure.scope == "rater" and figure.figure == "retest_agreement"
    }
    names = dict.fromkeys([*ledger.raters, *sorted([*others, *by_gold, *by_retest])])
    return [RaterFigures(name, by_gold.get(name), by_retest.get(name), others.get(name)) for name in names], problem


def loop_so_far(root_url: str, loop_waits_for: Callable[[], str] | None) -> LoopSoFar:
    """Read the reports under a policy's root, the newest first, and ask what the loop waits for."""
    waits_for, finished, problems = "", [], []
    if loop_waits_for is not None:
        try:
            waits_for = loop_waits_for()
        except Exception as error:
            # Whatever the loop's own store throws, the labelling goes on without it.
            problems.append(f"The loop could not be asked what it waits for: {error}")
    try:
        root = RunRoot(root_url)
        finished = [_finished(root, iteration) for iteration in reversed(root.table_keys("kappa_report"))]
    except (OSError, ValueError) as error:
        problems.append(f"The reports could not be read: {error}")
    return LoopSoFar(waits_for, finished, " ".join(problems))


def _finished(root: RunRoot, iteration: str) -> FinishedIteration:
    report = root.read_table("kappa_report", iteration)
    labels = figure_of(report, "labels", "loop")
    return FinishedIteration(
        iteration,
        None if labels is None or labels.estimate is None else int(labels.estimate),
        figure_of(report, "model_expert_kappa", "evaluation"),
        figure_of(report, "expert_expert_kappa", "evaluation"),
        conclusion_of(report),
    )
