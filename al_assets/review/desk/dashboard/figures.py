"""How far raters agree, by the functions of the kappa report and of `al raters`, so that the figures are theirs."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from al_assets.agreement.core.bootstrap import Resampling
from al_assets.agreement.core.figures import Figure, figures_in
from al_assets.agreement.raters.gold_accuracy import ALL
from al_assets.agreement.raters.rated_items import rated_items
from al_assets.agreement.raters.slices import OTHERS, comparison_rows
from al_assets.agreement.report.scopes import expert_scope
from al_assets.config import Policy
from al_assets.review.hidden_items import GoldError, rater_quality
from al_assets.storage.ledger import Ledger

SHOWN = ("expert_expert_kappa", "krippendorff_alpha", "observed_agreement", "positive_agreement", "undecided_share")


@dataclass(frozen=True)
class Measured:
    """A figure with its 95 % interval.

    :param note: why there is no figure, or no interval; "" if there are both.
    """

    name: str
    estimate: float | None
    low: float | None
    high: float | None
    items: int
    note: str


@dataclass(frozen=True)
class RaterFigures:
    """What is known of one rater over all iterations; None where nothing is."""

    rater: str
    gold: Measured | None
    retest: Measured | None
    others: Measured | None


@dataclass(frozen=True)
class JudgedRaters:
    """The figures of all raters.

    :param problem: why hidden gold could not be read; "" if it could.
    """

    raters: tuple[RaterFigures, ...]
    problem: str


def agreement_of(votes: pl.DataFrame, policy: Policy) -> dict[str, Measured]:
    """Return the figures of ``SHOWN`` for some votes, computed as scope ``loop`` of the kappa report.

    :param votes: of ``Ledger.expert_labels``.
    """
    items = rated_items(votes).items
    scope = expert_scope("loop", items, resamples=policy.stopping.resamples, seed=policy.stopping.seed)
    measured = {figure.figure: _measured(figure.figure, figure) for figure in scope.figures()}
    return {name: measured[name] for name in SHOWN if name in measured}


def raters_of(ledger: Ledger, policy: Policy, watermark: int) -> JudgedRaters:
    """Return each rater's figures as of a place in the ledger, over all iterations."""
    problem = ""
    try:
        quality = rater_quality(ledger, policy, watermark=watermark)
        gold, retest = quality.gold.filter(iteration=ALL), quality.retest
    except GoldError as error:
        gold, retest, problem = pl.DataFrame(), pl.DataFrame(), str(error)
    how = Resampling(policy.stopping.resamples, policy.stopping.seed)
    others = {
        str(figure.slice): _measured("others", figure)
        for figure in comparison_rows(rated_items(ledger.expert_labels(watermark=watermark)), None, how)
        if figure.against == OTHERS
    }
    by_gold = {row["rater"]: _of_gold(row) for row in gold.iter_rows(named=True)}
    by_retest = {
        str(figure.slice): _measured("retest", figure)
        for figure in figures_in(retest)
        if figure.scope == "rater" and figure.figure == "retest_agreement"
    }
    names = _in_order(ledger.raters, [*others, *by_gold, *by_retest])
    return JudgedRaters(
        tuple(RaterFigures(name, by_gold.get(name), by_retest.get(name), others.get(name)) for name in names), problem
    )


def _of_gold(row: dict[str, object]) -> Measured:
    estimate, low, high = (None if row[name] is None else float(str(row[name])) for name in ("accuracy", "low", "high"))
    return Measured("gold", estimate, low, high, int(str(row["items"])), str(row["reason"] or ""))


def _measured(name: str, figure: Figure) -> Measured:
    # Where there is an interval, the detail says how it was made.
    note = "" if figure.low is not None else figure.detail or ""
    return Measured(name, figure.estimate, figure.low, figure.high, figure.items or 0, note)


def _in_order(first: Sequence[str], more: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*first, *sorted(more)]))
