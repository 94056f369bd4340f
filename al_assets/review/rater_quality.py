"""How good the raters are by what was hidden in their queues: right on gold, and of one mind on repeats."""

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from al_assets.agreement.core.resampling import Resampling
from al_assets.agreement.raters.gold_accuracy import gold_accuracy
from al_assets.agreement.raters.retest import retest
from al_assets.config import Policy
from al_assets.curation.queue.hidden import GOLD
from al_assets.review.hidden_items import load_gold
from al_assets.storage.ledger import Ledger


@dataclass(frozen=True)
class RaterQuality:
    """Figures from hidden items.

    :param gold: accuracy of each rater by iteration, see ``gold_accuracy``; no rows without answers to gold.
    :param retest: agreement of each rater and of all with themselves, see ``retest``; without repeats undefined, with
        the reason.
    """

    gold: pl.DataFrame
    retest: pl.DataFrame


def rater_quality(
    ledger: Ledger, policy: Policy, iterations: Collection[str] | None = None, watermark: int | None = None
) -> RaterQuality:
    """Judge the raters by the hidden items of some iterations' queues, None for all.

    :param watermark: as of this place in the ledger; None is now.
    :raises GoldError: the policy's gold file cannot be used.
    """
    answers = ledger.answers(iterations, watermark).filter(reason=GOLD)
    how = Resampling(policy.stopping.resamples, policy.stopping.seed)
    return RaterQuality(gold_accuracy(answers, load_gold(policy)), retest(ledger.retests(iterations, watermark), how))
